import json
from pathlib import Path

import pytest

from pipeline.config import ConfigError, load
from pipeline.jobs.shared.metric_names import METRICS

ROOT = Path(__file__).parents[2]
SETTINGS = """
[project]
name = "shop"

[data]
predictor_type = "binary_classifier"
target = "bought"
positive_label = "yes"
negative_label = "no"
id_columns = ["customer"]
features = ["age", "visits"]
minimum_rows_per_class = 10
split = { train = 0.6, validation = 0.2, holdout = 0.2, salt = "1" }

[processing]
instance_type = "ml.m5.large"

[training]
instance_type = "ml.m5.large"
hyperparameters = { epochs = 5, use_bias = true, learning_rate = 0.1, optimizer = "adam" }

[transform]
instance_type = "ml.m5.large"

[gate]
minimum = { auc = 0.7 }

[endpoint]
instance_type = "ml.t2.medium"

[[endpoint.golden]]
row = [40, 3.5]
label = "yes"

[api]
path = "/predict"
"""
MULTICLASS = (
    ('predictor_type = "binary_classifier"', 'predictor_type = "multiclass_classifier"'),
    ('positive_label = "yes"\nnegative_label = "no"', 'labels = ["yes", "no", "later"]'),
    ("{ auc = 0.7 }", "{ macro_f1 = 0.7 }"),
)
REGRESSION = (
    ('predictor_type = "binary_classifier"', 'predictor_type = "regressor"'),
    ('positive_label = "yes"\nnegative_label = "no"\n', ""),
    ("minimum = { auc = 0.7 }", "maximum = { rmse = 3 }"),
    ('\nlabel = "yes"', "\nvalue = 12.5\ntolerance = 2"),
)


@pytest.fixture
def written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(*changes: tuple[str, str]) -> Path:
        text = SETTINGS
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        Path("shop.toml").write_text(text, encoding="utf-8")
        return Path("shop.toml")

    return write


def test_binary_settings_load_with_defaults(written):
    settings = load(written())
    assert settings.data.classes == ("no", "yes")
    assert (settings.data.prefix, settings.processing.instance_count, settings.api.auth) == ("raw/", 1, "iam")
    assert settings.endpoint.golden[0].row == (40.0, 3.5)


def test_hyperparameters_are_strings_and_carry_what_follows_from_the_data(written):
    given = {"epochs": "5", "use_bias": "true", "learning_rate": "0.1", "optimizer": "adam"}
    assert load(written()).hyperparameters() == {
        "predictor_type": "binary_classifier",
        "feature_dim": "2",
        **given,
    }
    assert load(written(*MULTICLASS)).hyperparameters() == {
        "predictor_type": "multiclass_classifier",
        "feature_dim": "2",
        "num_classes": "3",
        **given,
    }


def test_json_is_canonical_and_complete(written):
    text = load(written()).to_json()
    document = json.loads(text)
    assert text == json.dumps(document, sort_keys=True, separators=(",", ":"))
    assert document["data"]["split"] == {"train": 0.6, "validation": 0.2, "holdout": 0.2, "salt": "1"}
    tables = {"project", "data", "trigger", "processing", "training", "transform", "gate", "release", "endpoint", "api",
              "drift"}  # fmt: skip
    assert set(document) == tables


def test_the_same_settings_in_another_order_give_the_same_json_and_hash(written):
    first = load(written())
    swapped = ('target = "bought"\npositive_label = "yes"', 'positive_label = "yes"\ntarget = "bought"')
    assert load(written(swapped)).to_json() == first.to_json()
    assert load(written(swapped)).hash == first.hash
    assert load(written(("epochs = 5", "epochs = 6"))).hash != first.hash


def test_triggers_and_release_have_defaults(written):
    settings = load(written())
    assert settings.trigger.model_dump() == {"delay_seconds": 2, "marker": "", "schedule": ""}
    assert settings.release.model_dump() == {
        "keep": 5,
        "approval": "automatic",
        "approval_hours": 24,
        "rollout": "all_at_once",
        "step_percent": 10,
        "bake_seconds": 300,
    }
    assert (settings.gate.margin, settings.gate.confidence) == (0.01, 0.95)


@pytest.mark.parametrize("schedule", ["rate(1 day)", "rate(7 days)", "cron(0 3 ? * MON *)", "cron(0/15 * * * ? *)"])
def test_a_schedule_is_one_that_eventbridge_takes(written, schedule):
    assert load(written(("[gate]", f'[trigger]\nschedule = "{schedule}"\n[gate]'))).trigger.schedule == schedule


@pytest.mark.parametrize(("most", "scales"), [(0, False), (2, False), (3, True)])
def test_a_variant_is_autoscaled_with_more_instances_at_most_than_at_least(written, most, scales):
    size = f'"ml.m5.large"\ninstance_count = 2\nmax_instances = {most}\ncalls_per_minute = 60'
    assert load(written(('"ml.t2.medium"', size))).endpoint.autoscaled == scales


def test_settings_cannot_be_changed(written):
    settings = load(written())
    with pytest.raises(ValueError, match="frozen"):
        settings.data.target = "age"


def test_regression_needs_no_labels(written):
    settings = load(written(*REGRESSION))
    assert settings.data.classes == ()
    assert settings.endpoint.golden[0].value == 12.5


@pytest.mark.parametrize("path", [ROOT / "pipeline.toml", *sorted(ROOT.glob("examples/*/pipeline.toml"))], ids=str)
def test_every_settings_file_of_the_project_loads(path):
    assert load(path).data.features


WRONG = {
    "unknown key": (
        [('target = "bought"', 'target = "bought"\nfeaturs = []')],
        'unknown key "data.featurs": did you mean "features"? Allowed: prefix, predictor_type, target, positive_label,'
        " negative_label, labels, id_columns, features, minimum_rows_per_class, bad_rows, split",
    ),
    "unknown key in a golden row": (
        [('3.5]\nlabel = "yes"', '3.5]\nlabel = "yes"\nname = 1')],
        'unknown key "endpoint.golden.0.name": Allowed: row, label, value, tolerance',
    ),
    "unknown table": (
        [("[gate]", "[gates]\nx = 1\n[gate]")],
        'unknown key "gates": did you mean "gate"? Allowed: project, data, trigger, processing,'
        " training, transform, gate, release, endpoint, api, network, stack, delivery, drift",
    ),
    "missing key": ([('target = "bought"\n', "")], 'missing key "data.target": add it'),
    "wrong type": (
        [("minimum_rows_per_class = 10", 'minimum_rows_per_class = "10"')],
        "key \"data.minimum_rows_per_class\" = '10': Input should be a valid integer",
    ),
    "predictor type nobody knows": (
        [('"binary_classifier"', '"classifier"')],
        "key \"data.predictor_type\" = 'classifier': Input should be 'binary_classifier', 'multiclass_classifier' or"
        " 'regressor'",
    ),
    "impossible split": (
        [("holdout = 0.2", "holdout = 0.3")],
        "data.split: train + validation + holdout is 1.1: the shares must sum to 1",
    ),
    "empty part": (
        [("train = 0.6", "train = 0.8"), ("holdout = 0.2", "holdout = 0")],
        "key \"data.split.holdout\" = '0': Input should be greater than 0",
    ),
    "feature twice": (
        [('["age", "visits"]', '["age", "age"]')],
        "data: features lists age more than once: keep one of each",
    ),
    "target among the features": (
        [('["age", "visits"]', '["age", "bought"]')],
        'data: features lists the target "bought": the model must not see it, take it out',
    ),
    "id among the features": (
        [('["age", "visits"]', '["age", "customer"]')],
        "data: customer stands in features and in id_columns: a column has one role",
    ),
    "labels of another predictor type": (
        [('negative_label = "no"', 'labels = ["no"]')],
        "data: predictor_type binary_classifier takes positive_label and negative_label, no labels",
    ),
    "the same label twice": (
        [('negative_label = "no"', 'negative_label = "yes"')],
        "data: positive_label and negative_label lists yes more than once: keep one of each",
    ),
    "two classes are not many": (
        [*MULTICLASS, ('labels = ["yes", "no", "later"]', 'labels = ["yes", "no"]')],
        "data: labels needs at least 3 classes: for two use predictor_type binary_classifier",
    ),
    "instance type of another service": (
        [('"ml.t2.medium"', '"t2.medium"')],
        "endpoint.instance_type: 't2.medium' is not allowed here: write it like 'ml.m5.large'",
    ),
    "fewer instances at most than at least": (
        [('"ml.t2.medium"', '"ml.m5.large"\ninstance_count = 3\nmax_instances = 2')],
        "endpoint: max_instances = 2 is below instance_count = 3: give at least as many, or 0 for no autoscaling",
    ),
    "autoscaling of burstable instances": (
        [('"ml.t2.medium"', '"ml.t2.medium"\nmax_instances = 2\ncalls_per_minute = 60')],
        "endpoint: max_instances: ml.t2.medium is burstable, which SageMaker does not autoscale: set instance_type to"
        " another, such as ml.m5.large, or max_instances to 0",
    ),
    "autoscaling to nothing": (
        [('"ml.t2.medium"', '"ml.m5.large"\nmax_instances = 2')],
        "endpoint: calls_per_minute is the target of autoscaling per instance: give at least 1",
    ),
    "more instances than a count may be": (
        [('"ml.t2.medium"', '"ml.m5.large"\nmax_instances = 101')],
        "key \"endpoint.max_instances\" = '101': Input should be less than or equal to 100",
    ),
    "derived hyperparameter": (
        [("epochs = 5", "feature_dim = 5")],
        "training: hyperparameters.feature_dim follows from [data]: take it out",
    ),
    "gate without thresholds": (
        [("minimum = { auc = 0.7 }", "")],
        "gate has no threshold: set a minimum (auc, accuracy, precision, recall, f1) or a maximum (log_loss)",
    ),
    "gate on a metric of another predictor type": (
        [("{ auc = 0.7 }", "{ r2 = 0.7 }")],
        "gate.minimum.r2 is not measured for binary_classifier. Allowed: auc, accuracy, precision, recall, f1",
    ),
    "gate the wrong way round": (
        [("{ auc = 0.7 }", "{ log_loss = 0.7 }")],
        "gate.minimum.log_loss: smaller is better, put it under gate.maximum",
    ),
    "gate in percent": ([("{ auc = 0.7 }", "{ auc = 70 }")], "gate.minimum.auc = 70 can never be met"),
    "golden row of the wrong length": (
        [("row = [40, 3.5]", "row = [40]")],
        "endpoint.golden, row 1 has 1 numbers: data.features has 2",
    ),
    "golden row that is not finite": (
        [("row = [40, 3.5]", "row = [40, nan]")],
        "key \"endpoint.golden.0.row.1\" = 'nan': Input should be a finite number",
    ),
    "golden label nobody knows": (
        [('\nlabel = "yes"', '\nlabel = "Yes"')],
        'endpoint.golden, row 1 has label "Yes": give one of no, yes and no value or tolerance',
    ),
    "golden label for regression": (
        [*REGRESSION, ("value = 12.5\ntolerance = 2", 'label = "yes"')],
        "endpoint.golden, row 1 must have value and tolerance, and no label: predictor_type is regressor",
    ),
    "path without a slash": (
        [('"/predict"', '"predict"')],
        "api.path: 'predict' is not allowed here: write it like '/predict'",
    ),
    "user pool that is missing": (
        [('"/predict"', '"/predict"\nauth = "cognito"')],
        "api: auth cognito and user_pool go together: give the ARN of an existing user pool",
    ),
    "quota without a key": (
        [('"/predict"', '"/predict"\ncalls_per_day = 5')],
        "api: calls_per_day counts by key: set metering = true",
    ),
    "firewall that WAF refuses": (
        [('"/predict"', '"/predict"\nwaf_rate = 9')],
        "api: waf_rate must be 0 (no WAF) or at least 10 calls in 5 minutes",
    ),
    "origin without a scheme": (
        [('"/predict"', '"/predict"\ncors_origin = "example.org"')],
        "api.cors_origin: 'example.org' is not allowed here: write it like 'https://example.org'",
    ),
    "schedule that EventBridge refuses": (
        [("[gate]", '[trigger]\nschedule = "rate(1 days)"\n[gate]')],
        "trigger.schedule: 'rate(1 days)' is not allowed here: write it like 'rate(7 days)'",
    ),
    "cron of five fields": (
        [("[gate]", '[trigger]\nschedule = "cron(0 3 * * 1)"\n[gate]')],
        "trigger.schedule: 'cron(0 3 * * 1)' is not allowed here: write it like 'rate(7 days)'",
    ),
    "marker that is a folder": (
        [("[gate]", '[trigger]\nmarker = "done/"\n[gate]')],
        "trigger.marker: 'done/' is not allowed here: write it like '_SUCCESS'",
    ),
    "delay longer than a queue's": (
        [("[gate]", "[trigger]\ndelay_seconds = 901\n[gate]")],
        "key \"trigger.delay_seconds\" = '901': Input should be less than or equal to 900",
    ),
    "approval by nobody": (
        [("[gate]", '[release]\napproval = "none"\n[gate]')],
        "key \"release.approval\" = 'none': Input should be 'automatic' or 'manual'",
    ),
    "confidence in percent": (
        [("minimum = { auc = 0.7 }", "minimum = { auc = 0.7 }\nconfidence = 95")],
        "key \"gate.confidence\" = '95': Input should be less than 1",
    ),
    "name too long for a job's name": (
        [('"shop"', '"a-shop-with-a-name"')],
        "key \"project.name\" = 'a-shop-with-a-name': String should have at most 16 characters",
    ),
}


@pytest.mark.parametrize(("changes", "message"), WRONG.values(), ids=WRONG)
def test_wrong_settings_are_refused_with_the_key_and_what_is_allowed(written, changes, message):
    with pytest.raises(ConfigError) as error:
        load(written(*changes))
    assert str(error.value) == f"shop.toml: {message}"


def test_an_unknown_hyperparameter_is_answered_with_the_near_one(written):
    with pytest.raises(ConfigError, match=r"hyperparameters\.mini_batch_siz .*did you mean mini_batch_size\?"):
        load(written(("epochs = 5", "mini_batch_siz = 5")))


def test_every_mistake_is_told_at_once(written):
    with pytest.raises(ConfigError) as error:
        load(written(('target = "bought"\n', ""), ('"/predict"', "3")))
    assert str(error.value).splitlines() == [
        'shop.toml: missing key "data.target": add it',
        "shop.toml: key \"api.path\" = '3': Input should be a valid string",
    ]


def test_a_missing_file_and_a_file_that_is_not_toml_are_named(written, tmp_path):
    with pytest.raises(ConfigError, match=r"^nowhere\.toml: no such file"):
        load("nowhere.toml")
    with pytest.raises(ConfigError, match=r"^shop\.toml: not TOML: "):
        load(written(("[project]", "[project")))


def test_metric_names_are_unique_within_a_predictor_type():
    for rising, falling in METRICS.values():
        assert not set(rising) & set(falling)


PROD = '\n[stage.prod.project]\nname = "shop-prod"\n[stage.prod.gate]\nminimum = { accuracy = 0.5 }\n[stage.prod.stack]\nlog_days = 365\n'


def test_a_stage_changes_values_and_only_those(written):
    path = written()
    path.write_text(path.read_text() + PROD)
    dev, prod = load(path), load(path, "prod")
    assert (dev.project.name, dev.stack.log_days) == ("shop", 90)
    assert (prod.project.name, prod.stack.log_days, prod.gate.minimum) == ("shop-prod", 365, {"accuracy": 0.5})
    same = {"project", "gate", "stack"}
    assert dev.model_dump(exclude=same) == prod.model_dump(exclude=same)


def test_the_environment_names_the_stage(written, monkeypatch):
    path = written()
    path.write_text(path.read_text() + PROD)
    monkeypatch.setenv("STAGE", "prod")
    assert load(path).project.name == "shop-prod"


def test_an_unknown_stage_is_told_with_the_known_ones(written):
    path = written()
    path.write_text(path.read_text() + PROD)
    with pytest.raises(ConfigError, match=r'no stage "test": add \[stage\.test\] or choose one of dev, prod'):
        load(path, "test")


def test_what_the_stack_is_like_makes_no_other_run(written):
    path = written()
    before = load(path).hash
    path.write_text(path.read_text() + "\n[stack]\nmonthly_budget = 7\n")
    assert load(path).hash == before
