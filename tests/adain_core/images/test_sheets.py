import pytest
import torch

from adain_core.images.sheets import cell_of, contact_sheet
from tests.helpers import random_picture


def test_pictures_lie_in_their_cells_in_order():
    colors = [[(1.0, 0.0, 0.0), (0.0, 1.0, 0.0)], [(0.0, 0.0, 1.0), (1.0, 1.0, 0.0)]]
    rows = [[torch.tensor(c).view(1, 3, 1, 1).expand(1, 3, 30, 60) for c in row] for row in colors]
    sheet = contact_sheet(rows, ["a", "b"], ["one", "two"], cell=64)
    height, width = sheet.shape[-2:]
    for row, bottom in ((0, 8 + 32 + 8 + 16), (1, 8 + 16)):
        for column, right in ((0, 8 + 64 + 8 + 32), (1, 8 + 32)):
            torch.testing.assert_close(sheet[0, :, height - bottom, width - right], torch.tensor(colors[row][column]))
    torch.testing.assert_close(sheet[0, :, height - 24, width - 9], torch.tensor(colors[1][1]))
    assert (sheet[..., -8:] == 1).all() and (sheet[..., -8:, :] == 1).all()


def test_pictures_of_different_shapes_keep_theirs():
    black = [torch.zeros(1, 3, 20, 40), torch.zeros(1, 3, 50, 10)]
    sheet = contact_sheet([black], [""], ["", ""], cell=100)
    dark = (sheet[0].sum(dim=0) == 0).sum().item()
    assert dark == 100 * 50 + 100 * 20
    columns, rows = ((sheet[0].sum(dim=0) == 0).any(dim=dim).nonzero().flatten() for dim in (0, 1))
    right = sheet.shape[-1] - 8 - columns[-1].item() - 1
    assert right == 40  # a picture 20 pixels wide lies in the middle of 100
    black = sheet[0, :, :, columns[0]].sum(dim=0) == 0
    above = black.nonzero()[0].item() - rows[0].item()
    assert above == 25  # and one 50 pixels high


@pytest.mark.parametrize("cell", [33, 100])
def test_thumbnails_give_the_same_sheet(cell):
    row = [random_picture(47, 31), random_picture(64, 100), random_picture(1, 300)]
    small = [cell_of(picture, cell) for picture in row]
    assert [max(picture.shape[-2:]) for picture in small] == [cell] * 3
    labels = ["row"], ["a", "b", "c"]
    assert torch.equal(contact_sheet([small], *labels, cell), contact_sheet([row], *labels, cell))


def test_labels_are_drawn():
    picture = [[torch.ones(1, 3, 16, 16)]]
    assert contact_sheet(picture, [""], [""]).min() == 1
    assert contact_sheet(picture, ["row"], [""]).min() < 0.5
    assert contact_sheet(picture, [""], ["column"]).min() < 0.5


def test_the_longest_label_has_room_at_the_left():
    picture = torch.zeros(1, 3, 16, 16)
    alone, beside = (
        contact_sheet([[picture]] * len(labels), labels, [""]) for labels in (["a long label"], ["a long label", "b"])
    )
    assert beside.shape[-1] == alone.shape[-1] > contact_sheet([[picture]], ["b"], [""]).shape[-1]


@pytest.mark.parametrize("rows, columns", [(["a"], ["x"]), (["a", "b"], ["x", "y"])])
def test_labels_that_do_not_fit_are_refused(rows, columns):
    with pytest.raises(ValueError, match="label"):
        contact_sheet([[torch.ones(1, 3, 4, 4)] * 2], rows, columns)
