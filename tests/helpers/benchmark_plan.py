"""A benchmark of seconds for the tests: two trained networks, bicubic enlargement, one evaluator."""
import copy

import yaml

ROOT_RECIPE = dict(
    model_type='LandmarkModel',
    scale=8,
    manual_seed=0,
    name='evaluator',
    num_gpu=0,
    datasets=dict(
        train=dict(
            name='tiny',
            type='SyntheticFaceDataset',
            seed=2,
            num_images=2,
            gt_size=64,
            num_worker_per_gpu=0,
            batch_size_per_gpu=2)),
    network_g=dict(type='StackedHourglass', num_feat=8, num_stacks=1, num_keypoints=68),
    path=dict(strict_load_g=True),
    train=dict(
        optim_g=dict(type='Adam', lr=1e-3),
        scheduler=dict(type='MultiStepLR', milestones=[1], gamma=0.5),
        total_iter=1,
        heatmap_opt=dict(type='LandmarkHeatmapLoss', loss_weight=1.0)),
    logger=dict(print_freq=1, save_checkpoint_freq=1, use_tb_logger=False))

PLAN = dict(
    name='tiny',
    title='Tiny <faces>',
    test_set=dict(name='faces', type='SyntheticFaceDataset', seed=3, num_images=3, gt_size=64),
    evaluators=dict(judge=dict(title='a judge', recipe='evaluator.yml')),
    protocols=['basicsr-y', 'rgb'],
    landmark_error='inter-ocular',
    metrics=dict(
        psnr_again=dict(type='calculate_psnr', crop_border=8, title='PSNR, RGB', digits=1, better='higher'),
        nrmse_again=dict(type='calculate_nrmse', norm='inter_ocular', better='lower')),
    compare_with='DIC',
    gallery=2,
    speed_batch_size=1,
    defaults=dict(
        model_type='SRModel',
        scale=8,
        manual_seed=0,
        datasets=dict(
            train=dict(
                name='tiny',
                type='SyntheticFaceDataset',
                seed=0,
                num_images=2,
                gt_size=64,
                num_worker_per_gpu=0,
                batch_size_per_gpu=2),
            val=dict(name='tiny', type='SyntheticFaceDataset', seed=1, num_images=1, gt_size=64)),
        train=dict(
            ema_decay=0.9,
            optim_g=dict(type='Adam', lr=1e-3, betas=[0.9, 0.99]),
            scheduler=dict(type='CosineAnnealingRestartLR', periods=[2], restart_weights=[1], eta_min=1e-5),
            total_iter=2,
            warmup_iter=-1,
            pixel_opt=dict(type='L1Loss', loss_weight=1.0)),
        val=dict(
            val_freq=1,
            save_img=False,
            metrics=dict(psnr=dict(type='calculate_psnr', crop_border=8, test_y_channel=True, better='higher'))),
        logger=dict(print_freq=1, save_checkpoint_freq=1, use_tb_logger=False)),
    models=dict(
        bicubic=dict(title='Bicubic', untrained=True, network_g=dict(type='Bicubic', upscale=8)),
        EDSR=dict(
            note='Small & quick.',
            network_g=dict(type='EDSR', num_in_ch=3, num_out_ch=3, num_feat=4, num_block=1, upscale=8)),
        DIC=dict(
            model_type='DICModel',
            network_g=dict(
                type='DIC',
                num_feat=4,
                num_groups=2,
                num_steps=2,
                hg_num_feat=8,
                num_fusion_block=1,
                projection_scale=2,
                hg_from_scratch=True),
            train=dict(heatmap_opt=dict(type='LandmarkHeatmapLoss', loss_weight=1.0)))),
    references=[
        dict(model='Quoted', data='elsewhere', psnr=99.5, ssim=0.9876, source='a paper', confirmed=False),
    ])


def write_plan(folder, **changes):
    """Write the plan, with some of its keys replaced, and the recipe of its evaluator; returns the plan's path."""
    recipe = folder / 'evaluator.yml'
    recipe.write_text(yaml.safe_dump(ROOT_RECIPE))
    plan = copy.deepcopy(PLAN)
    plan['evaluators']['judge']['recipe'] = str(recipe)
    plan.update(copy.deepcopy(changes))
    path = folder / 'plan.yml'
    path.write_text(yaml.safe_dump(plan, sort_keys=False))
    return path
