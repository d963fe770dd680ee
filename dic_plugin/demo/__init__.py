"""A page in the browser on which people see what a network makes of a face. See dic-demo.

    faces.py       which weights there are; photographs and synthetic faces restored
    pictures.py    what is shown of a restored face
    page.py        the page: gradio, an optional extra
"""
