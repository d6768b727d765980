from tasks.retrain.evaluation import Evaluation, corruption_accuracies


def test_an_evaluation_is_read_without_what_a_challenge_does_not_need() -> None:
    metrics = {"accuracy": 0.5, "accuracy_interval_95": [0.4, 0.6], "images": 4, "loss": 1.5, "confusion": []}
    found = Evaluation.from_json({**metrics, "per_class": [{"class": "cat", "recall": 0.25, "precision": 1.0}]})
    assert found.recall == {"cat": 0.25}
    assert (found.metrics.accuracy, found.metrics.accuracy_interval_95) == (0.5, (0.4, 0.6))


def test_a_corruption_counts_by_the_mean_of_its_severities() -> None:
    accuracies = {"contrast": {"1": 0.5, "3": 0.25, "5": 0.0}, "noise": {"1": 0.5}, "blur": {}}
    assert corruption_accuracies({"accuracy": accuracies}) == {"contrast": 0.25, "noise": 0.5}
