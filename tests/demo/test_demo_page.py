"""The demo page in a headless browser that can reach nothing but this machine."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import cv2
import pytest

from dic_plugin.synthetic import draw_face
from helpers.inference_weights import save_weights
from helpers.paths import ROOT

pytest.importorskip('gradio', reason='the demo page needs gradio')
pytest.importorskip('selenium', reason='the demo page is tested with selenium')

from selenium import webdriver  # noqa: E402
from selenium.common.exceptions import StaleElementReferenceException  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

from dic_plugin.demo.page import restore, served, short_name, view  # noqa: E402

SECONDS = 180  # a busy machine
RECORD = {'network': {'num_steps': 2}}


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp('experiments')
    (root / 'tiny' / 'models').mkdir(parents=True)
    save_weights(root / 'tiny' / 'models' / 'net_g_latest.pth', RECORD)
    return root


@pytest.fixture(scope='module')
def address(root):
    with served(str(root), None, 'cpu', None) as address:
        folder = os.environ['GRADIO_TEMP_DIR']
        yield address
        assert os.listdir(folder)
    assert not os.path.exists(folder)  # nobody's photographs stay


@pytest.fixture(scope='module')
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = next(
        filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), '')
    driver = shutil.which('chromedriver')
    if not (options.binary_location and driver):
        pytest.skip('no chromium with its chromedriver')
    for argument in ('--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage',
                     '--window-size=1300,900', '--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1'):
        options.add_argument(argument)
    options.set_capability('goog:loggingPrefs', {'performance': 'ALL', 'browser': 'ALL'})
    with webdriver.Chrome(options, webdriver.ChromeService(driver)) as browser:
        yield browser


class Page:
    """The page, opened anew, in a visitor's terms."""

    def __init__(self, browser, address):
        self.browser = browser
        browser.get(address)
        self.until('Synthetic face 0: step 2 of 2')

    def until(self, text):
        """Wait for this text in the message; returns the whole message."""

        def said(browser):
            shown = browser.find_elements(By.CSS_SELECTOR, '#status .message')
            return shown and text in shown[0].text and shown[0]

        wait = WebDriverWait(self.browser, SECONDS, ignored_exceptions=[StaleElementReferenceException])
        return wait.until(said, f'no message with {text!r}')

    def pictures(self, name):
        return [image.get_attribute('src') for image in self.browser.find_elements(By.CSS_SELECTOR, f'#{name} img')]

    def click(self, selector):
        self.browser.find_element(By.CSS_SELECTOR, selector).click()

    def type(self, selector, *keys):
        self.browser.find_element(By.CSS_SELECTOR, selector).send_keys(*keys)


@pytest.fixture
def page(browser, address):
    return Page(browser, address)


def test_opens_with_a_synthetic_face_and_contacts_nobody_else(page, browser):
    names = ('input', 'bicubic', 'step', 'original', 'attention')
    assert [len(page.pictures(name)) for name in names] == [1, 1, 1, 1, 5]
    events = [json.loads(entry['message'])['message'] for entry in browser.get_log('performance')]
    urls = [event['params']['request']['url'] for event in events if event['method'] == 'Network.requestWillBeSent']
    local = (browser.current_url, 'data:', 'blob:', 'chrome:')
    assert len(urls) > 10 and [url for url in urls if not url.startswith(local)] == []
    assert [entry for entry in browser.get_log('browser') if entry['level'] == 'SEVERE'] == []


def test_upload_result_and_slider(page, tmp_path):
    path = tmp_path / 'face.png'
    cv2.imwrite(str(path), draw_face(0, 5)[0][..., ::-1])
    page.click('#aligned input')
    page.type('#photo input[type=file]', str(path))
    page.until('face.png: step 2 of 2')
    last, original = page.pictures('step'), page.pictures('original')
    page.type('#slider input[type=range]', Keys.ARROW_LEFT)
    page.until('face.png: step 1 of 2')
    assert page.pictures('step') != last and page.pictures('original') == original
    assert page.pictures('attention') == []
    with_landmarks = page.pictures('step')
    page.click('#landmarks input')
    WebDriverWait(page.browser, SECONDS).until(lambda _: page.pictures('step') not in ([], with_landmarks))


def test_a_text_file_is_an_error_and_the_page_goes_on(page, tmp_path):
    (tmp_path / 'notes.txt').write_text('<b>no</b> image')
    page.type('#photo input[type=file]', str(tmp_path / 'notes.txt'))
    shown = page.until('notes.txt: cannot be decoded')
    assert 'error' in shown.get_attribute('class') and 'Traceback' not in page.browser.page_source
    assert page.pictures('step') == page.pictures('attention') == []
    page.click('#draw')
    page.until('Synthetic face 0: step 2 of 2')


def test_other_faces_and_other_weights(page, tmp_path):
    page.type('#number input', Keys.CONTROL, 'a', Keys.NULL, '3')
    page.click('#draw')
    page.until('Synthetic face 3: step 2 of 2')
    page.type('#path textarea', str(tmp_path / 'missing.pth'), Keys.ENTER)
    assert 'error' in page.until('missing.pth: no such file').get_attribute('class')
    path = save_weights(tmp_path / 'one_step.pth', num_steps=1)
    page.type('#path textarea', Keys.CONTROL, 'a', Keys.NULL, path, Keys.ENTER)
    page.until('Synthetic face 3: step 1 of 1')


@pytest.mark.parametrize('source, weights, expected', [
    (('synthetic', 0), None, 'There are no weights'),
    (('synthetic', None), 'some.pth', 'Type the number'),
    (('synthetic', 0), 'missing.pth', 'missing.pth: no such file'),
])
def test_errors_of_what_cannot_be_restored(source, weights, expected):
    with pytest.raises(ValueError, match=expected):
        restore(source, weights, False)


def test_view_has_a_step_at_most_the_last_and_escapes_names(root):
    face, = restore(('synthetic', 0), str(root / 'tiny' / 'models' / 'net_g_latest.pth'), False, 'cpu')
    shown = view(face._replace(title='<b>.png', notes=['mind this']), 9, True)
    assert '&lt;b&gt;.png: step 2 of 2' in shown[0] and 'Note: mind this.' in shown[0]
    assert len(shown) == 6 and 'error' not in shown[0]


@pytest.mark.parametrize('path, name', [('experiments/train_DIC/models/net_g_latest.pth', 'train_DIC/net_g_latest.pth'),
                                        ('DIC_CelebA.pth', 'DIC_CelebA.pth')])
def test_short_names(path, name):
    assert short_name(str(Path(path))) == name


@pytest.mark.slow
def test_the_command_serves_until_it_is_ended(root):
    """On a free port, also as a background job of a script, for which SIGINT is ignored."""
    command = [sys.executable, str(ROOT / 'scripts' / 'demo.py'), '--root', str(root), '--device', 'cpu']
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    line = process.stdout.readline()
    address = re.search(r'http://127\.0\.0\.1:\d+/', line).group()
    with urllib.request.urlopen(address, timeout=SECONDS) as answer:
        assert 'DIC: faces, eight times larger' in answer.read().decode()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 0 and 'Traceback' not in errors


def test_a_taken_port_is_named_and_leaves_no_trace(root):
    before = os.environ.get('GRADIO_TEMP_DIR')
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f'port {port} is taken'):
            with served(str(root), None, 'cpu', port):
                pass
    assert os.environ.get('GRADIO_TEMP_DIR') == before
