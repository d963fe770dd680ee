"""A benchmark of seconds for the tests: two trained networks, bicubic enlargement, one evaluator."""
import copy

import yaml

RECIPE = """
model_type: LandmarkModel
scale: 8
manual_seed: 0
name: evaluator
num_gpu: 0
datasets:
  train: {name: tiny, type: SyntheticFaceDataset, seed: 2, num_images: 2, gt_size: 64, num_worker_per_gpu: 0,
          batch_size_per_gpu: 2}
network_g: {type: StackedHourglass, num_feat: 8, num_stacks: 1, num_keypoints: 68}
path: {strict_load_g: true}
train:
  optim_g: {type: Adam, lr: 0.001}
  scheduler: {type: MultiStepLR, milestones: [1], gamma: 0.5}
  total_iter: 1
  heatmap_opt: {type: LandmarkHeatmapLoss, loss_weight: 1.0}
logger: {print_freq: 1, save_checkpoint_freq: 1, use_tb_logger: false}
"""

PLAN = yaml.safe_load("""
name: tiny
title: Tiny <faces>
test_set: {name: faces, type: SyntheticFaceDataset, seed: 3, num_images: 3, gt_size: 64}
evaluators:
  judge: {title: a judge, recipe: evaluator.yml}
protocols: [basicsr-y, rgb]
landmark_error: inter-ocular
metrics:
  psnr_again: {type: calculate_psnr, crop_border: 8, title: 'PSNR, RGB', digits: 1, better: higher}
  nrmse_again: {type: calculate_nrmse, norm: inter_ocular, better: lower}
compare_with: DIC
gallery: 2
speed_batch_size: 1
defaults:
  model_type: SRModel
  scale: 8
  manual_seed: 0
  datasets:
    train: {name: tiny, type: SyntheticFaceDataset, seed: 0, num_images: 2, gt_size: 64, num_worker_per_gpu: 0,
            batch_size_per_gpu: 2}
    val: {name: tiny, type: SyntheticFaceDataset, seed: 1, num_images: 1, gt_size: 64}
  train:
    ema_decay: 0.9
    optim_g: {type: Adam, lr: 0.001, betas: [0.9, 0.99]}
    scheduler: {type: CosineAnnealingRestartLR, periods: [2], restart_weights: [1], eta_min: 0.00001}
    total_iter: 2
    warmup_iter: -1
    pixel_opt: {type: L1Loss, loss_weight: 1.0}
  val:
    val_freq: 1
    save_img: false
    metrics:
      psnr: {type: calculate_psnr, crop_border: 8, test_y_channel: true, better: higher}
  logger: {print_freq: 1, save_checkpoint_freq: 1, use_tb_logger: false}
models:
  bicubic: {title: Bicubic, untrained: true, network_g: {type: Bicubic, upscale: 8}}
  EDSR:
    note: Small & quick.
    network_g: {type: EDSR, num_in_ch: 3, num_out_ch: 3, num_feat: 4, num_block: 1, upscale: 8}
  DIC:
    model_type: DICModel
    network_g: {type: DIC, num_feat: 4, num_groups: 2, num_steps: 2, hg_num_feat: 8, num_fusion_block: 1,
                projection_scale: 2, hg_from_scratch: true}
    train: {heatmap_opt: {type: LandmarkHeatmapLoss, loss_weight: 1.0}}
references:
  - {model: Quoted, data: elsewhere, psnr: 99.5, ssim: 0.9876, source: a paper, confirmed: false}
""")


def write_plan(folder, **changes):
    """Write the plan with some of its keys replaced, and the recipe of its evaluator; return the plan's path."""
    recipe, path = folder / 'evaluator.yml', folder / 'plan.yml'
    recipe.write_text(RECIPE)
    plan = copy.deepcopy(PLAN)
    plan['evaluators']['judge']['recipe'] = str(recipe)
    path.write_text(yaml.safe_dump({**plan, **copy.deepcopy(changes)}, sort_keys=False))
    return path
