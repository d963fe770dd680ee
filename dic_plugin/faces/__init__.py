"""A face in a photograph: detected, cut out, judged; used by preparation, inference and the page alike."""
