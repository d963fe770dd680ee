"""The kernel of triton_conv. A file of its own, because it needs Triton when it is imported."""
import triton
import triton.language as tl


@triton.jit
def conv1x1_kernel(maps, channels, strides, weight, weight_strides, bias, slope_pointer, slope, residual,
                   residual_strides, out, out_strides, num_out, pixels, HAS_ACTIVATION: tl.constexpr,
                   PRECISION: tl.constexpr, WIDEN: tl.constexpr, PIXELS: tl.constexpr, CHANNELS_IN: tl.constexpr,
                   CHANNELS_OUT: tl.constexpr):
    """One tile of the result: PIXELS of one image by CHANNELS_OUT. Strides: image, channel, pixel."""
    pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    image = tl.program_id(1).to(tl.int64)  # a batch of large maps has more than 2^31 values
    channel_out = tl.program_id(2) * CHANNELS_OUT + tl.arange(0, CHANNELS_OUT)
    is_pixel = pixel[:, None] < pixels
    is_out = channel_out[None, :] < num_out
    total = tl.zeros((PIXELS, CHANNELS_OUT), tl.float32)
    first = 0
    for i in tl.static_range(len(maps)):
        pixel_in = maps[i] + image * strides[i][0] + pixel[:, None].to(tl.int64) * strides[i][2]
        for start in range(0, channels[i], CHANNELS_IN):
            channel_in = start + tl.arange(0, CHANNELS_IN)
            is_in = channel_in < channels[i]
            x = tl.load(pixel_in + channel_in[None, :] * strides[i][1], mask=is_pixel & is_in[None, :], other=0.)
            w = tl.load(
                weight + channel_out[None, :] * weight_strides[0] + (first + channel_in[:, None]) * weight_strides[1],
                mask=is_in[:, None] & is_out,
                other=0.)
            if WIDEN:
                x, w = x.to(tl.float32), w.to(tl.float32)
            total = tl.dot(x, w, total, input_precision=PRECISION)
        first += channels[i]
    if bias is not None:
        total += tl.load(bias + channel_out[None, :], mask=is_out, other=0.).to(tl.float32)
    if HAS_ACTIVATION:
        if slope_pointer is not None:
            total = tl.where(total < 0, total * tl.load(slope_pointer).to(tl.float32), total)
        else:
            total = tl.where(total < 0, total * slope, total)
    if residual is not None:
        place = residual + image * residual_strides[0] + pixel[:, None].to(tl.int64) * residual_strides[2]
        total += tl.load(
            place + channel_out[None, :] * residual_strides[1], mask=is_pixel & is_out, other=0.).to(tl.float32)
    place = out + image * out_strides[0] + pixel[:, None].to(tl.int64) * out_strides[2]
    tl.store(place + channel_out[None, :] * out_strides[1], total.to(out.dtype.element_ty), mask=is_pixel & is_out)
