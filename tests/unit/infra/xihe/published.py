"""A training config like published ones: with comments, trailing commas and a misspelled key."""

PUBLISHED = """{
    "SDK": "ModelArts",  // the only one
    "code_dir": "train/train_dir/",
    "boot_file": "train.py", # relative to code_dir
    "outputs": [{"output_dir": "train/output/", "name": "output_path"},],
    "hypeparameters": [{"name": "epochs", "value": "5"}, {"name": "lr", "value": 0.01},],
    "frameworks": {
        "framework_type": "MPI",
        "framework_version": "mindspore_1.3.0-cuda_10.1-py_3.7-ubuntu_1804-x86_64"
    },
    "train_instance_type": "modelarts.p3.large.public",
    /* where the log
       goes */
    "log_url": "train/log/",
    "env_variables": {"A": "http://x//y, ]"},
    "job_description": "a \\"first\\" try",
    "job_name": "resnet50",
    "inputs": [
        {"input_url": "datasets/me/cifar10/", "name": "data_url"},
        {"input_url": "models/me/ResNet50/x.ckpt", "name": "pretrain_url"},
    ],
}"""
