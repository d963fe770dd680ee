"""PSNR, SSIM, perceptual metrics and landmark errors of super-resolved faces."""
