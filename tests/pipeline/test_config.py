import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lambdas.predict import rows
from pipeline.config import ConfigError, load
from pipeline.jobs.shared.metric_names import METRICS
from pipeline.jobs.shared.settings import settings_of
from pipeline.settings import Serverless, Split, Trigger

ROOT = Path(__file__).parents[2]
SETTINGS, PROD = (Path(__file__).with_name(f"{name}.toml").read_text("utf-8") for name in ("shop", "shop_prod"))
Write = Callable[..., Path]
WRONG = tomllib.loads(Path(__file__).with_name("wrong_settings.toml").read_text(encoding="utf-8"))


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """A function that writes SETTINGS with changes, and more tables, to shop.toml and returns its path."""
    monkeypatch.chdir(tmp_path)

    def write(*changes: tuple[str, str], more: str = "") -> Path:
        text = SETTINGS
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        Path("shop.toml").write_text(text + more, encoding="utf-8")
        return Path("shop.toml")

    return write


def test_settings_have_defaults(written: Write) -> None:
    settings = load(written())
    assert settings.data.classes == ("no", "yes")
    assert (settings.data.prefix, settings.processing.instance_count, settings.api.auth) == ("raw/", 1, "iam")
    assert settings.endpoint.golden[0].row == (40.0, 3.5)
    assert settings.trigger == Trigger(delay_seconds=2, marker="", schedule="")
    release = {"keep": 5, "approval": "automatic", "approval_hours": 24}
    rollout = {"rollout": "all_at_once", "step_percent": 10, "bake_seconds": 300}
    assert settings.release.model_dump() == release | rollout
    assert (settings.gate.margin, settings.gate.confidence) == (0.01, 0.95)


def test_hyperparameters_are_strings_and_include_the_derived_ones(written: Write) -> None:
    given = {"feature_dim": "2", "epochs": "5", "use_bias": "true", "learning_rate": "0.1", "optimizer": "adam"}
    assert load(written()).hyperparameters() == {"predictor_type": "binary_classifier", **given}
    derived = {"predictor_type": "multiclass_classifier", "num_classes": "3"}
    assert load(written(*WRONG["base"]["multiclass"])).hyperparameters() == {**derived, **given}


def test_json_is_canonical_and_complete(written: Write) -> None:
    text = load(written()).to_json()
    document = json.loads(text)
    assert text == json.dumps(document, sort_keys=True, separators=(",", ":"))
    assert document["data"]["split"] == {"train": 0.6, "validation": 0.2, "holdout": 0.2, "salt": "1"}
    tables = "project data trigger processing training tuning transform gate model_card release endpoint api drift"
    assert set(document) == set(tables.split())


def test_golden_rows_are_in_the_json_as_the_apis_parser_returns_them(written: Write) -> None:
    more = 'kinds = { visits = "boolean" }\nmissing = { texts = ["?"], impute = ["age"] }\nfeatures ='
    row = '{ visits = " Yes", age = "?" }'
    settings = load(written(("features =", more), ("[40, 3.5]", row)))
    golden = json.loads(settings.to_json())["endpoint"]["golden"]
    assert golden == [{"row": ",true", "label": "yes"}]
    named = {"visits": " Yes", "age": "?"}
    assert rows.from_instances(json.dumps({"instances": [named]}), settings.api_signature, 1) == [golden[0]["row"]]
    assert json.loads(load(written()).to_json())["endpoint"]["golden"] == [{"row": "40.0,3.5", "label": "yes"}]


@pytest.mark.parametrize(
    ("table", "values", "changes"),
    [
        ("data", {"minimum_rows_per_class": 4}, True),
        ("data", {"prefix": "other/"}, True),
        ("data", {"split": Split(train=0.5, validation=0.3, holdout=0.2, salt="1")}, True),
        ("processing", {"memory_mb": 100}, True),
        ("processing", {"instance_count": 2}, True),
        ("processing", {"volume_gb": 11}, False),
        ("training", {"content_type": "text/csv"}, True),
        ("training", {"hyperparameters": {"mini_batch_size": 7}}, True),
        ("training", {"hyperparameters": {"epochs": 6}}, False),
        ("training", {"spot": True}, False),
        ("endpoint", {"golden": ()}, True),
        ("gate", {"margin": 0.5}, False),
        ("model_card", {"purpose": "another"}, False),
        ("stack", {"cache_days": 3}, False),
    ],
)
def test_preprocessing_depends_on_what_it_reads(
    written: Write, table: str, values: dict[str, Any], changes: bool
) -> None:
    settings = load(written())
    other = settings.model_copy(update={table: getattr(settings, table).model_copy(update=values)})
    assert (other.preprocessing != settings.preprocessing) == changes


def test_json_and_hash_depend_on_values_but_not_on_their_order_or_the_stack(written: Write) -> None:
    first = load(written())
    swapped = ('target = "bought"\npositive_label = "yes"', 'positive_label = "yes"\ntarget = "bought"')
    assert load(written(swapped)).to_json() == first.to_json()
    assert load(written(swapped)).hash == first.hash
    assert load(written(("epochs = 5", "epochs = 6"))).hash != first.hash
    assert load(written(more="[stack]\nmonthly_budget = 7\n")).hash == first.hash


@pytest.mark.parametrize(("rows_days", "cache_days"), [(90, 30), (0, 30), (30, 29), (1, 0)])
def test_rows_are_taken_for_a_month_or_as_long_as_they_are_kept(
    written: Write, rows_days: int, cache_days: int
) -> None:
    assert load(written(more=f"[stack]\nrows_days = {rows_days}\n")).stack.cache_days == cache_days


@pytest.mark.parametrize("schedule", ["rate(1 day)", "rate(7 days)", "cron(0 3 ? * MON *)", "cron(0/15 * * * ? *)"])
def test_a_schedule_of_eventbridge_is_valid(written: Write, schedule: str) -> None:
    assert load(written(more=f'[trigger]\nschedule = "{schedule}"')).trigger.schedule == schedule


@pytest.mark.parametrize(("maximum", "autoscaled"), [(0, False), (2, False), (3, True)])
def test_a_variant_is_autoscaled_above_its_minimum(written: Write, maximum: int, autoscaled: bool) -> None:
    size = f'"ml.m5.large"\ninstance_count = 2\nmax_instances = {maximum}\ncalls_per_minute = 60'
    assert load(written(('"ml.t2.medium"', size))).endpoint.autoscaled == autoscaled


def test_a_stage_may_be_serverless_or_return_to_instances(written: Write) -> None:
    stages = """
    [stage.cheap]
    endpoint = { instance_type = "", capture_percent = 0, serverless = { memory_mb = 1024, max_concurrency = 2 } }
    drift.schedule = ""
    [stage.plain.endpoint]
    serverless = false
    """
    path = written(more=stages)
    cheap, plain = load(path, "cheap").endpoint, load(path, "plain").endpoint
    assert (cheap.instance_type, cheap.serverless) == ("", Serverless(memory_mb=1024, max_concurrency=2))
    assert (plain.instance_type, plain.serverless) == ("ml.t2.medium", None)


def test_settings_are_frozen(written: Write) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(written()).data.target = "age"


@pytest.mark.parametrize("path", [ROOT / "pipeline.toml", *sorted(ROOT.glob("examples/*/pipeline.toml"))], ids=str)
def test_every_settings_file_of_the_project_loads(path: Path) -> None:
    assert load(path).data.features


@pytest.mark.parametrize("case", WRONG["wrong"], ids=lambda case: case["message"])
def test_wrong_settings_are_refused_with_the_key_and_the_fix(written: Write, case: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as error:
        load(written(*WRONG["base"].get(case.get("base"), ()), *case["changes"]))
    assert str(error.value) == f"shop.toml: {case['message']}"


def test_every_mistake_is_reported_at_once(written: Write) -> None:
    with pytest.raises(ConfigError) as error:
        load(written(('target = "bought"\n', ""), ('"/predict"', "3")))
    assert str(error.value).splitlines() == [
        'shop.toml: missing key "data.target": add it',
        "shop.toml: key \"api.path\" = '3': Input should be a valid string",
    ]


def test_a_missing_file_and_a_file_that_is_not_toml_are_named(written: Write) -> None:
    with pytest.raises(ConfigError, match=r"^nowhere\.toml: no such file"):
        load("nowhere.toml")
    with pytest.raises(ConfigError, match=r"^shop\.toml: not TOML: "):
        load(written(("[project]", "[project")))


def test_metric_names_are_unique_within_a_predictor_type() -> None:
    for rising, falling in METRICS.values():
        assert not set(rising) & set(falling)


def test_a_stage_overrides_only_its_values_and_keeps_each_threshold_that_it_does_not_name(
    written: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(more=PROD)
    dev, prod = load(path), load(path, "prod")
    assert (dev.project.name, dev.stack.log_days) == ("shop", 90)
    assert (prod.project.name, prod.stack.log_days) == ("shop-prod", 365)
    assert (dev.gate.minimum, prod.gate.minimum) == ({"auc": 0.7}, {"auc": 0.7, "accuracy": 0.5})
    assert (dev.gate.maximum, prod.gate.maximum) == ({}, {"log_loss": 0.6})
    same = {"project", "gate", "stack"}
    assert dev.model_dump(exclude=same) == prod.model_dump(exclude=same)
    monkeypatch.setenv("STAGE", "prod")
    assert load(path) == prod


def test_an_unknown_stage_is_reported_with_the_known_ones(written: Write) -> None:
    with pytest.raises(ConfigError, match=r'no stage "test": add \[stage\.test\] or choose one of dev, prod'):
        load(written(more=PROD), "test")


def test_tuning_is_off_by_default_and_refuses_what_it_names_only_when_it_is_on(written: Write) -> None:
    assert load(written()).tuning.jobs == 0
    fixed_too = "[tuning.ranges]\nlearning_rate = { minimum = 0.1, maximum = 1.0 }\n"
    assert load(written(more=fixed_too)).tuning.ranges.given.keys() == {"learning_rate"}


@pytest.mark.parametrize(
    ("tuning", "rows"),
    [
        ("", 1000),
        ("ranges.mini_batch_size = { minimum = 100.0, maximum = 200.0 }", 1000),  # off
        ("jobs = 2\nranges.mini_batch_size = { minimum = 100.0, maximum = 200.0 }", 200),
        ("jobs = 2\nranges.mini_batch_size = { values = [100, 300] }", 300),
    ],
)
def test_preprocessing_needs_the_rows_of_the_largest_batch_that_is_tried(
    written: Write, tuning: str, rows: int
) -> None:
    settings = load(written(more=f"[tuning]\n{tuning}\n"))
    assert settings_of(json.loads(settings.to_json())).mini_batch_size == rows
