"""Open a page in a headless browser: ``browser.py PAGE SCRIPT WIDTH``.

What the script's value is, once the page has loaded, is printed as JSON.
"""
import os
import sys

os.environ.update(QT_QPA_PLATFORM='offscreen', QTWEBENGINE_DISABLE_SANDBOX='1')

from PySide6.QtCore import QTimer, QUrl  # noqa: E402
from PySide6.QtWebEngineWidgets import QWebEngineView  # noqa: E402
from PySide6.QtWidgets import QApplication  # noqa: E402

page, script, width = sys.argv[1:]
application = QApplication([])
view = QWebEngineView()
view.resize(int(width), 600)
view.show()


def answer(value: str) -> None:
    print(value)
    application.quit()


def ask(loaded: bool) -> None:
    if not loaded:
        sys.exit(f'{page} did not load')
    view.page().runJavaScript(f'JSON.stringify({script})', answer)


view.loadFinished.connect(ask)
view.load(QUrl.fromLocalFile(page))
QTimer.singleShot(60_000, lambda: sys.exit('no answer in a minute'))
sys.exit(application.exec())
