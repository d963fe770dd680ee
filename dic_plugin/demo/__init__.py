"""The page of dic-demo, which restores photographs and synthetic faces in the browser; it needs gradio."""
