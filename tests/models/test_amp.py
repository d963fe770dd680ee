"""The option amp: what runs in which type, scaled gradients, their state, resuming with another amp."""
import pytest
import torch
from torch import nn

from dic_plugin.models import face_model
from dic_plugin.ops import native, native_conv, native_is_available
from helpers.tiny_training import batch, build, options, resume, same, step, weights


def test_bf16_is_computed_in_and_float32_handed_on(tmp_path):
    opt = options(tmp_path, 'train_DICGAN', amp='bf16')
    model, dtypes = build(opt), set()
    for net in (model.net_g, model.net_d):
        for layer in net.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                layer.register_forward_hook(lambda layer, inputs, output: dtypes.add(output.dtype))
    step(model, [1, 2])
    assert dtypes == {torch.bfloat16}
    assert model.output.dtype == torch.float32
    assert {value.dtype for value in weights(model)} == {torch.float32}
    model.test()
    assert {x.dtype for x in (*model.steps.sr, *model.steps.heatmap)} == {torch.float32}


@pytest.mark.parametrize('is_native', [False, True])
def test_bf16_gives_nearly_the_same_picture(tmp_path, is_native):
    pictures = []
    for amp in (None, 'bf16'):
        model = build(options(tmp_path, amp=amp))
        with torch.no_grad():
            model.net_g_ema.conv_out.weight.mul_(0.1)  # untrained, it adds wild numbers
        model.feed_data(batch())
        with native(is_native):
            model.test()
        pictures.append(model.output)
    error = (pictures[0] - pictures[1]).square().mean()
    assert error < 1e-4  # 40 dB
    # natively, a CPU without matrix units computes in float32
    runs_float32 = is_native and native_is_available() and not native_conv.bf16_level()
    assert (error > 0) != runs_float32


def test_perceptual_loss_runs_in_bf16_too(tmp_path):
    model, dtypes = build(options(tmp_path, amp='bf16')), []

    class Loss(nn.Module):

        def __init__(self):
            super().__init__()
            self.layer = nn.Conv2d(3, 2, 3)

        def forward(self, x, gt):
            feature = self.layer(x)
            dtypes.append((x.dtype, feature.dtype))
            return (feature - self.layer(gt)).abs().mean(), None

    model.cri_perceptual = Loss()
    step(model, [1])
    assert dtypes == [(torch.float32, torch.bfloat16)]
    assert 'l_percep' in model.get_current_log()


@pytest.mark.parametrize('before, now', [('bf16', None), (None, 'bf16')])
def test_a_run_may_be_resumed_with_another_amp_which_is_logged(tmp_path, log, before, now):
    model = build(options(tmp_path, amp=before))
    step(model, [1, 2])
    model.save(0, 2)
    resumed = resume(tmp_path, 'train_DIC', 2, amp=now)
    assert f'ran with amp: {before or "~"}; it goes on with amp: {now or "~"}' in log.text
    step(resumed, [3])
    resumed.save(0, 3)
    assert resume(tmp_path, 'train_DIC', 3, amp=now).get_current_learning_rate() == resumed.get_current_learning_rate()


@pytest.fixture
def fp16_on_a_cpu(monkeypatch):
    """Slow, and so refused, but it scales gradients as on a GPU."""
    monkeypatch.setattr(face_model, 'check_speed_options', lambda opt: None)


@pytest.mark.slow
def test_fp16_resumes_with_the_scales_it_had(tmp_path, fp16_on_a_cpu, log):
    whole = build(options(tmp_path, 'train_DICGAN', amp='fp16'))
    scaler_g, scaler_d = whole.scaler_g, whole.scaler_d
    scaler_g.load_state_dict({**scaler_g.state_dict(), 'scale': 1024., 'growth_interval': 2})
    scaler_d.load_state_dict({**scaler_d.state_dict(), 'scale': 512.})
    step(whole, [1, 2, 3])  # the generator learns from the second on
    assert (scaler_g.get_scale(), scaler_d.get_scale()) == (2048, 512)
    whole.save(0, 3)
    step(whole, [4, 5])
    resumed = resume(tmp_path, 'train_DICGAN', 3, amp='fp16')
    assert [scaler.get_scale() for scaler in (resumed.scaler_g, resumed.scaler_d)] == [2048, 512]
    step(resumed, [4, 5])
    assert same(weights(whole), weights(resumed))
    assert [scaler.get_scale() for scaler in (resumed.scaler_g, resumed.scaler_d)] == [4096, 512]
    resume(tmp_path, 'train_DICGAN', 3, amp='bf16')
    assert 'ran with amp: fp16; it goes on with amp: bf16' in log.text

    # states of earlier versions have the scalers among the schedulers
    state = torch.load(tmp_path / '3.state', weights_only=True)
    scalers = [optimizer.pop('grad_scaler') for optimizer in state['optimizers']]
    assert [optimizer.pop('amp') for optimizer in state['optimizers']] == ['fp16', 'fp16']
    state['schedulers'].append(dict(amp='fp16', scalers=scalers))
    torch.save(state, tmp_path / '3.state')
    resumed = resume(tmp_path, 'train_DICGAN', 3, amp='fp16')
    assert [scaler.get_scale() for scaler in (resumed.scaler_g, resumed.scaler_d)] == [2048, 512]


@pytest.mark.parametrize('overflows, is_skipped', [('first_block', True), ('hourglass', False)])
def test_fp16_leaves_out_a_step_that_overflows_but_not_for_the_frozen_hourglass(tmp_path, fp16_on_a_cpu, overflows,
                                                                                is_skipped):
    model = build(options(tmp_path, amp='fp16', train=dict(release_hourglass_iter=1)))
    scaler = model.scaler_g
    scaler.load_state_dict({**scaler.state_dict(), 'scale': 1024.})
    parameter = next(getattr(model.net_g, overflows).parameters())
    parameter.register_hook(lambda grad: torch.full_like(grad, float('inf')))
    before, hourglass = weights(model), weights(model, 'hourglass.')
    step(model, [1])
    assert scaler.get_scale() == (512 if is_skipped else 1024)
    assert same(before[:len(before) // 2], weights(model)[:len(before) // 2]) == is_skipped
    assert same(hourglass[:len(hourglass) // 2], weights(model, 'hourglass.')[:len(hourglass) // 2])
    step(model, [2])  # released: now it counts
    assert scaler.get_scale() == (256 if is_skipped else 512)


def test_fp16_steps_are_those_of_unscaled_gradients(tmp_path, fp16_on_a_cpu):
    steps = []
    for amp in ('fp16', None):
        model = build(options(tmp_path, amp=amp))
        for scaler in (model.scaler_g, ):
            if amp:
                scaler.load_state_dict({**scaler.state_dict(), 'scale': 256.})
        seen = []
        model.optimizer_g.register_step_pre_hook(lambda optimizer, args, kwargs: seen.append(
            [param.grad.clone() for group in optimizer.param_groups for param in group['params']]))
        step(model, [1])
        steps.append(torch.cat([grad.flatten() for grad in seen[0]]))
    assert (steps[0] - steps[1]).norm() < 0.05 * steps[1].norm()
