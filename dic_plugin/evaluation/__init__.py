"""Super-resolved faces judged: PSNR and SSIM as each paper computed them, and landmarks found by a separate network.

    protocols.py         PSNR and SSIM of one image pair under named protocols
    files.py             which result belongs to which original
    landmark_errors.py   the network that finds landmarks on results, and its errors
    perceptual.py        LPIPS, NIQE and FID, by the libraries that define them
    summary.py           means, intervals, tables, files and the plot
    run.py               all of it on a folder; ``scripts/evaluate.py`` is its command line
"""
