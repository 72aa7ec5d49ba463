"""What a run keeps beside its model: TensorBoard's events, a note, whether it is put aside."""

import json
from pathlib import Path

import pytest
from tensorboard.summary.writer import event_file_writer

from core.cli.app import main
from core.errors import RunError
from core.events import EpochDone, RunEnded, RunResumed, RunStarted, StepDone
from core.recipe.recipe import Recipe
from core.runs import tensorboard
from core.runs.run_folder import Run
from core.runs.store import RunStore
from core.runs.tensorboard import TensorBoardLog
from helpers import of_kind, small_recipe, train


def _scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder))
    read.Reload()
    return {
        tag: [(e.step, round(e.value, 4)) for e in read.Scalars(tag)]
        for tag in read.Tags()["scalars"]
    }


def _epoch(epoch: int, step: int, loss: float) -> EpochDone:
    return EpochDone(epoch, loss, 0.5, loss, 0.5, 1.0, step=step)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return RunStore(tmp_path / "runs").create("shapes", Recipe())


@pytest.mark.usefixtures("tiny_weights")
def test_a_training_leaves_its_curves_for_tensorboard(tmp_path, make_image_folder) -> None:
    folder = make_image_folder(tmp_path / "shapes", per_class=4)
    run = train(folder, small_recipe(strategy="feature-extraction", max_epochs=3)).run
    epochs = of_kind(run, EpochDone)
    assert _scalars(run.tensorboard)["loss/selection"] == [
        (e.epoch, round(e.selection_loss, 4)) for e in epochs
    ]


def test_a_resumed_run_draws_each_step_once(run: Run, monkeypatch) -> None:
    monkeypatch.setattr(tensorboard, "_STEP_SECONDS", 0.0)
    # Two files of one second are read in the order of their names, which end in a process-wide
    # count: the tenth would come before the ninth.
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(0))
    started = RunStarted("x", "m", "full", "cpu", "float32", 8, 2, 2, 2, ("stem", "head"), 2)
    log = TensorBoardLog(run.tensorboard)
    for event in (
        started,
        *(StepDone(s, 1, 1 / s, (0.0, 0.1), 9.0) for s in (1, 2, 3)),
        RunEnded("stopped", 0, 0.5, ""),
    ):
        log.log_event(event)
    again = TensorBoardLog(run.tensorboard)
    for event in (
        started, RunResumed(2, 1), StepDone(3, 2, 7.0, (0.0, 0.1), 9.0), _epoch(2, 3, 0.25),
    ):  # fmt: skip
        again.log_event(event)
    again.close()
    found = _scalars(run.tensorboard)
    assert found["loss/step"] == [(1, 1.0), (2, 0.5), (3, 7.0)]
    assert found["rate/head"][-1] == (3, 0.1)
    assert found["loss/train"] == [(3, 0.25)]


def test_each_task_has_its_curve(run: Run) -> None:
    log = TensorBoardLog(run.tensorboard)
    log.log_event(RunStarted("x", "m", "full", "cpu", "float32", 8, 2, 2, 2, tasks=("sex", "age")))
    log.log_event(EpochDone(1, 0.5, 0.5, 0.5, 0.5, 1.0, step=4, task_accuracies=(0.75, None)))
    log.close()
    found = _scalars(run.tensorboard)
    assert found["accuracy of tasks/sex"] == [(4, 0.75)]
    assert "accuracy of tasks/age" not in found


def test_a_log_that_cannot_be_written_does_not_end_the_run(run: Run) -> None:
    run.tensorboard.write_text("in the way")
    log = TensorBoardLog(run.tensorboard)
    log.log_event(_epoch(1, 1, 0.5))
    assert log.trouble
    log.close()


def test_a_note_is_kept_and_an_empty_one_taken_away(run: Run) -> None:
    run.write_note("  the one with the better lamp\nand a second line ")
    assert Run(run.path).read_note() == "the one with the better lamp\nand a second line"
    run.write_note(" ")
    assert run.read_note() == ""
    assert not (run.path / "note.txt").exists()


def test_a_run_that_cannot_be_changed_says_so(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot be changed"):
        Run(tmp_path / "gone").set_archived(True)


@pytest.mark.usefixtures("tiny_weights")
def test_the_command_line_lists_notes_and_leaves_archived_runs_away(
    tmp_path, make_image_folder, capsys
) -> None:
    folder = make_image_folder(tmp_path / "shapes", per_class=4)
    recipe = small_recipe(strategy="feature-extraction")
    names = [train(folder, recipe).run.path.name for _ in range(2)]
    assert main(["runs", "note", names[0], "a good one"]) == 0
    assert main(["runs", "archive", names[1]]) == 0
    capsys.readouterr()
    assert main(["runs", "--json"]) == 0
    (only,) = json.loads(capsys.readouterr().out)["runs"]
    assert (only["name"], only["note"]) == (names[0], "a good one")
    assert main(["runs", "--archived", "--json"]) == 0
    both = json.loads(capsys.readouterr().out)["runs"]
    assert {run["name"]: run["archived"] for run in both} == {names[0]: False, names[1]: True}
    assert main(["runs", "archive", names[1], "--back"]) == 0
    assert len([r for r in RunStore().runs() if not r.is_archived]) == 2
