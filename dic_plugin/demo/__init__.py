"""The page of dic-demo: restores photographs and synthetic faces in the browser.

    faces.py       weights; restored faces of photographs, and synthetic ones
    pictures.py    pictures of a restored face
    page.py        the page itself; needs gradio, an optional extra
"""
