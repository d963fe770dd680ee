"""Super-resolved faces judged: PSNR and SSIM as each paper computed them, and landmarks found by a separate network.

    protocols.py         PSNR and SSIM of one image pair under named protocols
    files.py             which result belongs to which original
    landmark_errors.py   the network that finds landmarks on results, and its errors
    perceptual.py        LPIPS, NIQE and FID, by the libraries that define them
    summary.py           means with their intervals, failures, cumulative error
    run.py               all of it on a folder
    output.py            the printed tables, CSV, JSON and the plot
"""
