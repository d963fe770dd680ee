"""The page itself. Nothing leaves this machine: no analytics, no share link, no fonts from elsewhere."""
import html
import os
import tempfile
from contextlib import contextmanager
from typing import Any, Callable, Iterator, List, Optional, Tuple

from dic_plugin.demo import pictures
from dic_plugin.demo.faces import DemoFace, find_weights, get_restorer, restore_photo, restore_synthetic

os.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'  # read when gradio is imported
os.environ['HF_HUB_DISABLE_TELEMETRY'] = '1'
import gradio as gr  # noqa: E402

TITLE = 'DIC: faces, eight times larger'
INTRODUCTION = """# Faces, eight times larger
DIC restores a 16x16 face step by step; each step is guided by the landmarks found in the one before.
Photographs are shrunk to that size first: compare with the original."""
FOLDER = 'GRADIO_TEMP_DIR'  # where gradio keeps uploads and pictures
CSS = """
.message { padding: 0.6em 1em; border-radius: 8px; background: #eef3fb; color: #1f2937; }
.message.error { background: #fdecea; color: #7f1d1d; border: 1px solid #e5a29b; }
#faces img, #attention img { image-rendering: pixelated; }
#faces label.float, #attention label.float { position: static; border: none; }
#attention .thumbnail-lg { overflow: visible; border: none; }
#attention .caption-label { position: static; max-width: none; text-align: center; border: none; background: none; }
footer { display: none !important; }
"""

Source = Tuple[str, Any]  # ('photo', path) or ('synthetic', number)


def restore(source: Source, weights: Optional[str], aligned: bool, device: Optional[str] = None) -> List[DemoFace]:
    """Faces of a source with these weights, largest first.

    Raises:
        ValueError, ImportError, OSError: in plain words, for the visitor.
    """
    if not weights:
        raise ValueError('There are no weights: choose a checkpoint or type the path of one. '
                         '`bash scripts/quickstart.sh` trains one in minutes.')
    kind, value = source
    if value is None:
        raise ValueError('Type the number of a synthetic face: 0, 1, 2, ...')
    restorer = get_restorer(weights, device)
    return restore_photo(restorer, value, aligned) if kind == 'photo' else restore_synthetic(restorer, value)


def message(lines: List[str], error: bool = False) -> str:
    """HTML of a message to the visitor; the text is escaped."""
    text = '<br>'.join(map(html.escape, lines))
    return f'<div class="message{" error" if error else ""}" role="status">{text}</div>'


def view(face: DemoFace, step: int, landmarks: bool) -> List[Any]:
    """What is shown of a face: the message, input, bicubic, this step's result, original, attention."""
    step = min(step, len(face.steps))
    text = f'{face.title}: step {step} of {len(face.steps)}.'
    measured = pictures.psnr(face, step)
    if measured is not None:
        text += ' PSNR {:.2f} dB, bicubic {:.2f} dB (luma, 8 pixels of border cropped).'.format(*measured)
    if step == 1:
        text += ' Nothing guides the first step yet: no attention.'
    return [
        message([text, *(f'Note: {note}.' for note in face.notes)]),
        pictures.input_picture(face),
        pictures.bicubic_picture(face),
        pictures.step_picture(face, step, landmarks),
        pictures.original_picture(face),
        pictures.attention_pictures(face, step)
    ]


def short_name(path: str) -> str:
    """What a checkpoint is called in the list: its experiment and its file."""
    parts = [part for part in os.path.normpath(path).split(os.sep) if part != 'models']
    return '/'.join(parts[-2:])


def build_page(root: str = 'experiments', weights: Optional[str] = None, device: Optional[str] = None) -> gr.Blocks:
    """The page.

    Args:
        root: folder in which checkpoints are looked for.
        weights: the checkpoint to begin with. Default: the first that is found.
        device: as FaceRestorer's.
    """
    choices = find_weights(root)
    if weights and weights not in choices:
        choices.insert(0, weights)
    with gr.Blocks(title=TITLE, analytics_enabled=False) as page:
        source, faces = gr.State(('synthetic', 0)), gr.State(None)
        gr.Markdown(INTRODUCTION)
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                named = [(short_name(path), path) for path in choices]
                chosen = gr.Dropdown(named, value=weights or (choices or [None])[0], label='Weights', elem_id='weights')
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
                        _image(*names) for names in (('Input', 'input'), ('Bicubic', 'bicubic'), ('DIC', 'step'),
                                                     ('Original', 'original'))
                    ]
                with gr.Row():
                    step = gr.Slider(1, 4, 4, step=1, label='Step', elem_id='slider', scale=3)
                    landmarks = gr.Checkbox(True, label='Landmarks', elem_id='landmarks', scale=1, min_width=120)
                attention = gr.Gallery(
                    label='Attention of this step, on the face that guided it',
                    columns=5,
                    rows=1,
                    object_fit='contain',
                    format='png',
                    height=250,
                    buttons=[],
                    allow_preview=False,
                    elem_id='attention')
        views = [status, *shown, attention]

        def run(source, chosen, typed, aligned, landmarks):
            """``faces``, ``which``, ``step`` and ``views``; an error empties the pictures and says why."""
            try:
                faces = restore(source, typed.strip() or chosen, aligned, device)
            except (ValueError, OSError, ImportError) as error:
                return [None, gr.Dropdown(visible=False), gr.skip(), message([str(error)], True), *[None] * 4, []]
            num_steps = len(faces[0].steps)
            titles = [(face.title, index) for index, face in enumerate(faces)]
            return [
                faces,
                gr.Dropdown(titles, value=0, visible=len(faces) > 1),
                gr.Slider(maximum=max(num_steps, 2), value=num_steps, interactive=num_steps > 1),
                *view(faces[0], num_steps, landmarks)
            ]

        def look(faces, which, step, landmarks):
            """``views``; after an error there is nothing to look at."""
            return view(faces[which], step, landmarks) if faces else [gr.skip()] * len(views)

        def rerun(event: Callable, *first: Any) -> None:
            """On this event restore anew, after an update of other values: function, inputs, outputs."""
            inputs, outputs = [source, chosen, typed, aligned, landmarks], [faces, which, step, *views]
            if first:
                event(*first).then(run, inputs, outputs)
            else:
                event(run, inputs, outputs)

        # the drop zone is emptied, ready for the next one
        rerun(photo.upload, lambda path: (('photo', path), None), photo, [source, photo])
        rerun(draw.click, lambda value: ('synthetic', value), number, source)
        rerun(chosen.input, lambda: '', None, typed)
        for event in (typed.submit, aligned.input, page.load):
            rerun(event)
        for event in (which.input, step.input, landmarks.input):
            event(look, [faces, which, step, landmarks], views)
    return page


def _image(label: str, name: str) -> gr.Image:
    return gr.Image(label=label, format='png', interactive=False, buttons=['download'], elem_id=name)


@contextmanager
def served(root: str = 'experiments',
           weights: Optional[str] = None,
           device: Optional[str] = None,
           port: Optional[int] = None) -> Iterator[str]:
    """Serve the page to this machine only, until the end of the block; gives its address.

    Uploads and pictures lie in a temporary folder of its own, which is then removed.

    Args:
        root, weights, device: as build_page's.
        port: default: the first free one from 7860.

    Raises:
        OSError: the port is taken.
    """
    before = os.environ.get(FOLDER)
    # gradio's own delete_cache leaves the files that uploads are first written to
    with tempfile.TemporaryDirectory(prefix='dic_demo_') as folder:
        os.environ[FOLDER] = folder
        page = build_page(root, weights, device)
        try:
            address = _launch(page, port)
            yield address
        finally:
            page.close(verbose=False)
            os.environ.pop(FOLDER)
            if before is not None:
                os.environ[FOLDER] = before


def _launch(page: gr.Blocks, port: Optional[int]) -> str:
    try:
        _, address, _ = page.launch(
            server_name='127.0.0.1',
            server_port=port,
            share=False,
            quiet=True,
            show_error=True,
            prevent_thread_lock=True,
            ssr_mode=False,
            max_file_size='50mb',
            css=CSS,
            theme=gr.themes.Default(font=['system-ui', 'sans-serif'], font_mono=['monospace']))
    except OSError as error:  # gradio names settings of its own
        which = 'all ports from 7860 on are' if port is None else f'port {port} is'
        raise OSError(f'The page cannot be served, {which} taken; expected a free --port.') from error
    return address
