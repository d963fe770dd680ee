"""The page. Nothing leaves this machine: no analytics, no share link, no fonts from elsewhere."""
import html
import os
import tempfile
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Optional, Tuple

from dic_plugin.checkpoints.weights import SHIPPED
from dic_plugin.demo.faces import DemoFace, find_weights, get_restorer, pictures, psnr, restore_photo, restore_synthetic

os.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'  # read when gradio is imported
os.environ['HF_HUB_DISABLE_TELEMETRY'] = '1'
import gradio as gr  # noqa: E402

TITLE = 'DIC: faces, eight times larger'
INTRODUCTION = """# Faces, eight times larger
DIC restores a 16x16 face step by step; each step is guided by the landmarks found in the one before.
Photographs are shrunk to that size first: compare with the original."""
VISITORS = 100  # who wait or whose faces are kept in memory; others get the message that the queue is full
FOLDER = 'GRADIO_TEMP_DIR'  # the variable by which gradio finds its folder for uploads and pictures
CSS = """
.message { padding: 0.6em 1em; border-radius: 8px; background: #eef3fb; color: #1f2937; }
.message.error { background: #fdecea; color: #7f1d1d; border: 1px solid #e5a29b; }
#faces img, #attention img { image-rendering: pixelated; }
#faces label.float, #attention label.float { position: static; border: none; }
#attention .thumbnail-lg { overflow: visible; border: none; }
#attention .caption-label { position: static; max-width: none; text-align: center; border: none; background: none; }
footer { display: none !important; }
"""

GALLERY: Dict[str, Any] = dict(
    columns=5, rows=1, object_fit='contain', format='png', height=250, buttons=[], allow_preview=False)
SHOWN = {'input': 'Input', 'bicubic': 'Bicubic', 'step': 'DIC', 'original': 'Original'}
Source = Tuple[str, Any]  # ('photo', path) or ('synthetic', number)


def restore(source: Source, weights: Optional[str], aligned: bool, device: Optional[str] = None) -> List[DemoFace]:
    """Return the restored faces of a source, largest first.

    Raises:
        ValueError, ImportError, OSError: with a message for the visitor.
    """
    if not weights:
        raise ValueError('There are no weights: choose a checkpoint or type the path of one. '
                         'dic-train trains one, dic-convert converts the published ones.')
    kind, value = source
    if value is None:
        raise ValueError('Type the number of a synthetic face: 0, 1, 2, ...')
    restorer = get_restorer(weights, device)
    return restore_photo(restorer, value, aligned) if kind == 'photo' else restore_synthetic(restorer, value)


def message(lines: List[str], error: bool = False) -> str:
    """Return a message to the visitor as HTML; the text is escaped."""
    text = '<br>'.join(map(html.escape, lines))
    return f'<div class="message{" error" if error else ""}" role="status">{text}</div>'


def view(face: DemoFace, step: int, landmarks: bool) -> List[Any]:
    """Return the values of the page's outputs: the message, then those of Pictures."""
    step = min(step, len(face.steps))
    text = f'{face.title}: step {step} of {len(face.steps)}.'
    measured = psnr(face, step)
    if measured is not None:
        text += ' PSNR {:.2f} dB, bicubic {:.2f} dB (luma, 8 pixels of border cropped).'.format(*measured)
    if step == 1:
        text += ' Nothing guides the first step: no attention.'
    return [message([text, *(f'Note: {note}.' for note in face.notes)]), *pictures(face, step, landmarks)]


def short_name(path: str) -> str:
    """Return a checkpoint's label in the list: its experiment and its file."""
    if path == SHIPPED:
        return 'DIC_photos (shipped)'
    parts = [part for part in os.path.normpath(path).split(os.sep) if part != 'models']
    return '/'.join(parts[-2:])


def build_page(root: str, weights: Optional[str], device: Optional[str]) -> gr.Blocks:
    """Return the page.

    Args:
        root: folder that is searched for checkpoints.
        weights: the checkpoint to begin with; None: the shipped one.
        device: see FaceRestorer.
    """
    choices = list(dict.fromkeys([weights or SHIPPED, *find_weights(root), SHIPPED]))
    with gr.Blocks(title=TITLE, analytics_enabled=False) as page:
        source, faces = gr.State(('synthetic', 0)), gr.State(None)
        gr.Markdown(INTRODUCTION)
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                named = [(short_name(path), path) for path in choices]
                chosen = gr.Dropdown(named, value=choices[0], label='Weights', elem_id='weights')
                typed = gr.Textbox(
                    label='... or the path of a checkpoint', placeholder='DIC_CelebA.pth', elem_id='path')
                photo = gr.File(label='Drop a photograph', elem_id='photo', height=150)
                aligned = gr.Checkbox(label='It is a face crop already', elem_id='aligned')
                gr.Markdown('or take a face that this project draws:')
                number = gr.Number(0, label='Number of the face', precision=0, elem_id='number')
                draw = gr.Button('Take it', elem_id='draw')
            with gr.Column(scale=4):
                status = gr.HTML(elem_id='status')
                which = gr.Dropdown([], label='Face', visible=False, elem_id='face')
                with gr.Row(elem_id='faces'):
                    shown = [
                        gr.Image(label=label, format='png', interactive=False, buttons=['download'], elem_id=name)
                        for name, label in SHOWN.items()
                    ]
                with gr.Row():
                    step = gr.Slider(1, 4, 4, step=1, label='Step', elem_id='slider', scale=3)
                    landmarks = gr.Checkbox(True, label='Landmarks', elem_id='landmarks', scale=1, min_width=120)
                label = 'Attention of this step, on the face that guided it'
                attention = gr.Gallery(label=label, elem_id='attention', **GALLERY)
        views = [status, *shown, attention]

        def run(source: Source, chosen: Optional[str], typed: str, aligned: bool, landmarks: bool) -> List[Any]:
            """Return ``faces``, ``which``, ``step`` and ``views``; an error empties the pictures and is shown."""
            try:
                faces = restore(source, typed.strip() or chosen, aligned, device)
            except (ValueError, OSError, ImportError) as error:
                return [None, gr.Dropdown(visible=False), gr.skip(), message([str(error)], True), *[None] * 4, []]
            num_steps = len(faces[0].steps)
            titles = [(face.title, index) for index, face in enumerate(faces)]
            choice = gr.Dropdown(titles, value=0, visible=len(faces) > 1)
            slider = gr.Slider(maximum=max(num_steps, 2), value=num_steps, interactive=num_steps > 1)
            return [faces, choice, slider, *view(faces[0], num_steps, landmarks)]

        def look(faces: Optional[List[DemoFace]], which: int, step: int, landmarks: bool) -> List[Any]:
            """Return ``views``, unchanged after an error."""
            return view(faces[which], step, landmarks) if faces else [gr.skip()] * len(views)

        restoring: Dict[str, Any] = dict(
            fn=run, inputs=[source, chosen, typed, aligned, landmarks], outputs=[faces, which, step, *views])
        # the drop zone is emptied for the next photograph
        photo.upload(lambda path: (('photo', path), None), photo, [source, photo]).then(**restoring)
        draw.click(lambda value: ('synthetic', value), number, source).then(**restoring)
        chosen.input(lambda: '', None, typed).then(**restoring)
        for event in (typed.submit, aligned.input, page.load):
            event(**restoring)
        for event in (which.input, step.input, landmarks.input):
            event(look, [faces, which, step, landmarks], views)
    return page


@contextmanager
def served(root: str, weights: Optional[str], device: Optional[str], port: Optional[int]) -> Iterator[str]:
    """Serve the page to this machine only, until the end of the block; yields its address.

    Uploads and pictures are kept in a temporary folder, which is removed at the end.

    Args:
        root, weights, device: see build_page.
        port: None: the first free one from 7860.

    Raises:
        OSError: the port is taken.
    """
    before = os.environ.get(FOLDER)
    # gradio's own delete_cache leaves the files that uploads are first written to
    with tempfile.TemporaryDirectory(prefix='dic_demo_') as folder:
        os.environ[FOLDER] = folder
        page = build_page(root, weights, device)
        try:
            _, address, _ = page.queue(
                max_size=VISITORS, default_concurrency_limit=1).launch(
                    server_name='127.0.0.1',
                    server_port=port,
                    prevent_thread_lock=True,
                    share=False,
                    ssr_mode=False,
                    quiet=True,
                    show_error=True,
                    max_file_size='50mb',
                    state_session_capacity=VISITORS,
                    css=CSS,
                    theme=gr.themes.Default(font=['system-ui', 'sans-serif'], font_mono=['monospace']))
        except OSError as error:  # gradio names settings of its own
            which = 'all ports from 7860 on are' if port is None else f'port {port} is'
            raise OSError(f'The page cannot be served: {which} taken; expected a free --port.') from error
        else:
            yield address
        finally:
            page.close(verbose=False)
            del os.environ[FOLDER]
            if before is not None:
                os.environ[FOLDER] = before
