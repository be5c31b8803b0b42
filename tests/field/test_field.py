"""Situations that users of neighboring projects have reported, each tried by a script (tests/field/README.md)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.runs import ROOT, environment

ELSEWHERE = {
    "01": "training/test_resume.py::test_a_terminated_run_leaves_a_checkpoint_and_continues_bit_for_bit, "
    "cli/test_command.py::test_a_signal_is_one_line",
    "02": "data/test_recorded_steps.py::test_windows_end_where_the_next_row_is_of_another_episode",
    "03": "system/test_opengl.py::test_a_missing_renderer_is_left_out",
    "04": "config/test_literals.py::test_names_are_taken_as_they_stand",
    "05": "training/test_update.py::test_not_compiled_where_that_fails, "
    "system/test_before_torch.py::test_a_directory_of_the_compiler_that_cannot_be_made_is_dropped",
    "06": "packaging/test_encoding.py::test_no_text_depends_on_the_locale",
    "08": "envs/test_pool.py::test_an_array_of_one_number_is_a_reward, "
    "envs/test_pool.py::test_trying_shows_what_is_wrong",
    "09": "system/test_worker_process.py::test_a_module_in_the_working_directory_replaces_none_of_pythons",
    "11": "config/test_literals.py::test_in_a_sweep_commas_separate_runs, "
    "config/test_literals.py::test_names_are_taken_as_they_stand",
    "12": "data/test_custom_npz.py::test_what_is_wrong_is_reported, "
    "data/test_recorded_steps.py::test_what_the_type_cannot_hold_is_named",
    "14": "suites/test_custom_data.py::test_a_goal_is_observed_success_is_reported_and_episodes_end",
    "16": "training/test_announcement.py::test_data_are_summarized",
    "17": "data/test_datamodule.py::test_short_episodes_are_counted_and_refused_only_where_there_are_no_others",
    "19": "envs/test_renderer.py::test_a_set_variable_that_does_not_work_says_what_is_missing",
    "21": "data/test_custom_npz.py::test_any_flags_against_an_obvious_reader, "
    "rollout/test_collector.py::test_every_environment_follows_the_reference_protocol",
    "22": "data/test_custom_npz.py::test_any_flags_against_an_obvious_reader, "
    "data/test_windows.py::test_windows_equal_the_slow_reference",
    "23": "training/test_resume.py::test_a_checkpoint_of_another_run_is_refused, "
    "training/test_resume.py::test_a_run_can_be_made_longer, "
    "training/test_resume.py::test_fewer_updates_than_made_are_refused",
    "24": "training/test_resume.py::test_a_killed_run_continues_bit_for_bit, "
    "training/test_resume.py::test_the_command_is_killed_at_a_random_moment",
    "25": "inference/test_evaluate.py::test_every_episode_counts_once_whatever_its_length",
    "26": "sweep/test_launchers.py::test_an_interrupt_ends_all_and_leaves_the_table_so_far",
    "27": "sweep/test_sweep.py::test_sweeps_of_one_second_have_directories_of_their_own, "
    "sweep/test_sweep.py::test_two_processes_do_not_make_one_run",
    "28": "data/test_minari.py::test_every_step_is_a_transition_and_every_state_is_stored_once",
    "29": "envs/test_gymnasium_registry.py::test_a_recorded_action_scaled_for_training_is_the_action_given_back",
    "31": "config/test_composition.py::test_a_multirun_is_the_product_of_its_choices",
    "32": "envs/test_verdict.py::test_truth_values_are_verdicts_and_nothing_else_is",
    "34": "data/test_recorded_steps.py::test_next_states_of_an_environment_that_resets_itself_are_noticed",
    "36": "system/test_streams.py::test_what_cannot_be_written_is_dropped_where_the_work_goes_on, "
    "cli/test_command.py::test_a_reader_that_ends",
}
"""Cases whose behavior other tests pin, and which; their scripts are for trying by hand."""

CASES = sorted({path.parent.name for path in Path(__file__).parent.glob("[0-9][0-9]/run.sh")} - {*ELSEWHERE})

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home directory of all cases, where generated data are kept."""
    return tmp_path_factory.mktemp("home")


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_case(case: str, home: Path) -> None:
    variables = environment(QAM_BIN=str(Path(sys.executable).parent), QAM_SRC=str(ROOT), FIELD_HOME=str(home))
    script = Path(__file__).parent / case / "run.sh"
    done = subprocess.run(["bash", script], env=variables, capture_output=True, text=True, timeout=380, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("case", ELSEWHERE)
def test_a_case_that_is_pinned_elsewhere_names_tests_that_are_there(case: str) -> None:
    for place in ELSEWHERE[case].split(", "):
        path, _, name = place.partition("::")
        assert f"def {name}(" in (ROOT / "tests" / path).read_text()
