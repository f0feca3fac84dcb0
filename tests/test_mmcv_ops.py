"""MMCV's operators, however they were built, compute what they say."""
import pytest
import torch
import torch.nn.functional as F
from mmcv.ops import (
    box_iou_rotated,
    deform_conv2d,
    modulated_deform_conv2d,
    nms,
    points_in_boxes_cpu,
    roi_align,
    soft_nms,
)


def boxes(count: int) -> torch.Tensor:
    """Boxes (x1, y1, x2, y2), many of which overlap."""
    corners = 20 * torch.rand(count, 2)
    return torch.cat([corners, corners + 5 + 10 * torch.rand(count, 2)], 1)


def overlaps(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Intersection over union of each pair of boxes."""
    low = torch.maximum(a[:, None, :2], b[None, :, :2])
    high = torch.minimum(a[:, None, 2:], b[None, :, 2:])
    common = (high - low).clamp(min=0).prod(-1)
    areas = [(c[:, 2:] - c[:, :2]).prod(-1) for c in (a, b)]
    return common / (areas[0][:, None] + areas[1] - common)


def test_nms_keeps_no_two_that_overlap():
    candidates, scores = boxes(100), torch.rand(100)
    kept = []
    for index in scores.argsort(descending=True).tolist():
        best = candidates[kept + [index]]
        if not (overlaps(best[-1:], best[:-1]) > .5).any():
            kept.append(index)
    dets, indices = nms(candidates, scores, .5)
    assert indices.tolist() == kept and 1 < len(kept) < 100
    torch.testing.assert_close(
        dets, torch.cat([candidates, scores[:, None]], 1)[kept])


def test_soft_nms_lowers_the_score_of_what_overlaps():
    candidates = torch.tensor([[0., 0, 10, 10], [0, 0, 10, 8]])
    dets, _ = soft_nms(candidates, torch.tensor([.9, .8]), .3,
                       method='linear', min_score=0.)
    torch.testing.assert_close(dets[:, 4], torch.tensor([.9, .8 * (1 - .8)]))


def test_roi_align_of_a_plane_is_its_height_in_the_bins():
    rows, columns = torch.meshgrid(
        torch.arange(32.), torch.arange(32.), indexing='ij')
    image = (2 * rows + 3 * columns)[None, None].requires_grad_()
    rois = torch.tensor([[0., 4.5, 6.5, 20.5, 14.5]])
    out = roi_align(image, rois, (4, 8), 1., 2, 'avg', True)
    y = 6 + 2 * torch.arange(4.) + 1
    x = 4 + 2 * torch.arange(8.) + 1
    torch.testing.assert_close(out[0, 0], 2 * y[:, None] + 3 * x)
    out.sum().backward()
    # each output is a mean of pixels
    torch.testing.assert_close(image.grad.sum(), torch.tensor(32.))
    assert image.grad[0, 0, :6].abs().sum() == 0


@pytest.mark.parametrize('modulated', [False, True])
def test_deformable_convolution_without_offsets_is_a_convolution(modulated):
    x = torch.randn(2, 4, 9, 11, requires_grad=True)
    weight = torch.randn(6, 4, 3, 3, requires_grad=True)
    offset = torch.zeros(2, 18, 9, 11)
    if modulated:
        mask = torch.full((2, 9, 9, 11), .5)
        bias = torch.zeros(6)
        y = 2 * modulated_deform_conv2d(x, offset, mask, weight, bias, 1, 1)
    else:
        y = deform_conv2d(x, offset, weight, 1, 1)
    expected = F.conv2d(x, weight, padding=1)
    torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-4)
    up = torch.randn_like(y)
    for grad, wanted in zip(torch.autograd.grad(y, (x, weight), up),
                            torch.autograd.grad(expected, (x, weight), up)):
        torch.testing.assert_close(grad, wanted, rtol=1e-4, atol=1e-4)


def test_rotated_boxes_that_lie_straight_overlap_as_boxes():
    a, b = boxes(7), boxes(9)
    straight = [
        torch.cat([(c[:, :2] + c[:, 2:]) / 2, c[:, 2:] - c[:, :2],
                   torch.zeros(len(c), 1)], 1) for c in (a, b)
    ]
    torch.testing.assert_close(box_iou_rotated(*straight), overlaps(a, b),
                               rtol=1e-4, atol=1e-5)
    quarter = straight[1] + torch.tensor([0., 0, 0, 0, torch.pi / 2])
    turned = quarter[:, [0, 1, 3, 2, 4]]
    torch.testing.assert_close(box_iou_rotated(straight[0], turned),
                               overlaps(a, b), rtol=1e-3, atol=1e-4)


def test_points_in_a_turned_box():
    # 4 long, 2 wide, 2 high, standing on the floor and turned by a quarter
    box = torch.tensor([[[0., 0, 0, 4, 2, 2, torch.pi / 2]]])
    points = torch.tensor([[[0., 1.5, 1], [1.5, 0, 1], [0, 0, 3]]])
    assert points_in_boxes_cpu(points, box).tolist() == [[[1], [0], [0]]]
