from __future__ import annotations

import pytest
import torch

from core.data.sources.scan import scan
from core.evaluation.evaluate import evaluate_images, make_predictions
from core.evaluation.metrics import make_report
from helpers import small_recipe, train


def test_each_image_gets_the_class_with_the_highest_probability_and_that_probability() -> None:
    said = make_predictions(
        torch.tensor([[0.25, 0.75], [0.875, 0.125]]), torch.tensor([0, 0]), ["a/1.png", "a/2.png"]
    )
    assert [(p.file, p.label, p.predicted, p.probability) for p in said] == [
        ("a/1.png", 0, 1, 0.75),
        ("a/2.png", 0, 0, 0.875),
    ]


def test_the_predictions_count_up_to_the_confusion_matrix_even_where_classes_tie() -> None:
    torch.manual_seed(0)
    probabilities = torch.randint(0, 3, (200, 4)).float() + 0.5
    probabilities /= probabilities.sum(1, keepdim=True)
    labels = torch.randint(0, 4, (200,))
    said = make_predictions(probabilities, labels, [f"{i}.png" for i in range(200)])
    report = make_report(probabilities, labels, classes=("a", "b", "c", "d"), split="val")
    counts = [[0] * 4 for _ in range(4)]
    for prediction in said:
        counts[prediction.label][prediction.predicted] += 1
    assert tuple(tuple(row) for row in counts) == report.confusion


def test_files_that_do_not_match_the_rows_are_a_bug_not_a_short_list() -> None:
    with pytest.raises(ValueError):
        make_predictions(torch.eye(2), torch.tensor([0, 1]), ["only-one.png"])


@pytest.mark.usefixtures("tiny_weights")
def test_a_run_keeps_the_predictions_its_report_counts_and_its_model_gives_them_again(
    tmp_path, make_image_folder
) -> None:
    folder = make_image_folder(tmp_path / "shapes", per_class=5)
    recipe = small_recipe(strategy="feature-extraction")
    result, run, _events = train(folder, recipe)
    kept = run.read_predictions()
    assert result.report is not None
    assert sorted(said.file for said in kept) == sorted(
        file for file in scan(folder).files if file.startswith("val/")
    )
    assert sum(said.label == said.predicted for said in kept) == round(15 * result.report.top1)

    (folder / kept[0].file).write_bytes(b"no picture any more")
    again = evaluate_images(run)
    assert again.report.n == 14
    assert "1 unreadable" in again.report.selected_on
    said_before = {said.file: said for said in kept}
    for said in again.predictions:
        assert said.predicted == said_before[said.file].predicted
        assert said.probability == pytest.approx(said_before[said.file].probability, abs=1e-3)
    assert run.read_predictions() == kept  # the run folder was only read
