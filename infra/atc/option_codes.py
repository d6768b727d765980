"""ATC's error codes about options, E10001 to E10057; see `infra.atc.codes`."""

from collections.abc import Mapping

from infra.atc.code import Code
from infra.errors import Refused, Transient

_GEARS = "--dynamic_batch_size, --dynamic_image_size or --dynamic_dims"
_MANUAL = "look the option up in `atc --help`"
_SHAPE = 'write "name1:n,c,h,w;name2:n,c,h,w" with the names of the graph\'s inputs'

OPTION_CODES: Mapping[str, Code] = {
    "E10001": Code("Value [{value}] of {parameter} is invalid. Reason: {reason}", "the value cannot be used", _MANUAL),
    "E10002": Code(
        "Value [{shape}] of --input_shape is invalid. Reason: {reason}. It is written like {sample}",
        "the shapes cannot be read",
        _SHAPE,
    ),
    "E10003": Code(
        "Value [{value}] of --{parameter} is invalid. Reason: {reason}", "the value cannot be used", _MANUAL
    ),
    "E10004": Code("--{parameter} is empty", "this mode needs the option", "give the option a value"),
    "E10005": Code("Value [{value}] of --{parameter} must be true or false", "it is a switch", "write true or false"),
    "E10006": Code("Value [{value}] of --{parameter} must be 0 or 1", "it is a switch", "write 0 or 1"),
    "E10007": Code("--{parameter} is required; it must be {support}", "ATC cannot guess it", "give the option"),
    "E10008": Code("--framework=0 (Caffe) needs --weight", "Caffe keeps weights apart", "give --weight"),
    "E10009": Code(
        "--dynamic_batch_size, --dynamic_image_size, --dynamic_dims and --input_shape_range exclude each other",
        "more than one of them was given",
        "keep one",
    ),
    "E10010": Code(
        "Value [{loglevel}] of --log is invalid", "there is no such level", "debug, info, warning, error or null"
    ),
    "E10011": Code(
        "Shape [{shape}] in --input_shape has the dimension {result}, which is not positive",
        "a static shape needs positive dimensions",
        "write positive numbers, or give the option for dynamic gears",
    ),
    "E10012": Code(
        "--dynamic_batch_size is given, but a shape in --input_shape has no dimension",
        "the batch is the first dimension",
        _SHAPE,
    ),
    "E10013": Code("Value [{value}] of --{parameter} is out of range", "the number is too small or large", _MANUAL),
    "E10014": Code("Value [{value}] of --{parameter} is invalid", "there is no such value", _MANUAL),
    "E10016": Code(
        "--{parameter} names [{opname}], which the model does not have",
        "the name is misspelt, or names are not separated by ';'",
        "read the graph's own names first; exporters choose them",
    ),
    "E10017": Code(
        "--{parameter} names [{opname}], which is not an input of the model",
        "only inputs may be named",
        "name an input",
    ),
    "E10018": Code(
        "Dimension {index} of shape [{shape}] is -1; with --dynamic_batch_size only the first may be",
        "another dimension than the batch is dynamic",
        "write the other dimensions as numbers",
    ),
    "E10019": Code(
        "With --dynamic_image_size exactly height and width are -1 in --input_shape",
        "other dimensions are dynamic, or only one is",
        "write -1 for height and width alone",
    ),
    "E10020": Code(
        "Value [{dynamic_image_size}] of --dynamic_image_size is invalid",
        "a gear is not two numbers",
        'write "height1,width1;height2,width2"',
    ),
    "E10021": Code("The path of --{parameter} is longer than {size}", "the path is too long", "use a shorter path"),
    "E10022": Code("The path [{filename}] of --{parameter} has no file name", "it ends with /", "add the file's name"),
    **dict.fromkeys(
        [f"E100{number}" for number in range(23, 31)],
        Code("The description of a single operator is wrong", "its JSON does not fit the operator", "correct the JSON"),
    ),
    "E10031": Code(
        "--dynamic_batch_size is given, but no input in --input_shape has the batch -1",
        "no input is dynamic",
        "write -1 as the first dimension of the input",
    ),
    "E10032": Code(
        "The JSON file [{file_name}] cannot be made or read: {reason}", "bad JSON or a bad path", "check the file"
    ),
    "E10034": Code(
        "Input [{opname}] has AIPP and cannot be float16 as well",
        "AIPP makes the input uint8",
        "take the name out of --input_fp16_nodes, or leave AIPP",
    ),
    "E10035": Code(
        f"{_GEARS} has {{shapesize}} gears; at least {{minshapesize}} are needed", "too few gears", "add gears"
    ),
    "E10036": Code(
        f"{_GEARS} has {{shapesize}} gears; at most {{maxshapesize}} may be", "too many gears", "keep fewer"
    ),
    "E10037": Code(
        f"Gears of {_GEARS} have {{shapesize1}} and {{shapesize2}} dimensions",
        "gears differ in length",
        "give each gear the same number of dimensions",
    ),
    "E10038": Code("The gear dimension {dim} is not a positive number", "gears are positive", "write positive numbers"),
    "E10039": Code(f"{_GEARS} names a gear twice", "gears must differ", "name each gear once"),
    "E10040": Code(
        f"With {_GEARS}, --input_shape needs an input with -1, and no ranges",
        "nothing is dynamic there",
        "write -1 for the dynamic dimensions",
    ),
    "E10041": Code(
        "The model [{parameter}] cannot be loaded",
        "the file is damaged, or --framework names another kind of file",
        "check the file; --framework is 5 for ONNX and 1 for AIR",
    ),
    "E10044": Code("There is not enough memory", "other programs hold it", "try again when it is free", Transient),
    "E10045": Code(
        "Input [{name}] with shape [{shape}] has more -1 than a gear of --dynamic_dims has dimensions",
        "gears are too short",
        "give each gear one number for each -1",
    ),
    "E10046": Code(
        "The inputs (the last is [{name}], shape [{shape}]) do not have as many -1 as a gear of --dynamic_dims",
        "gears and -1 do not match",
        "give each gear one number for each -1",
    ),
    "E10047": Code("--{parameter0} and --{parameter1} exclude each other", "both were given", "keep one"),
    "E10048": Code(
        "Value [{shape_range}] of --input_shape_range is invalid. Reason: {reason}. It is written like {sample}",
        "the ranges cannot be read",
        _MANUAL,
    ),
    "E10049": Code(
        "--input_shape gives {shape_range_size} dimensions to an input that has {cur_dim_size}",
        "shape and input differ",
        _SHAPE,
    ),
    "E10050": Code(
        "Dimension {cur_dim} is outside {shape_range_left}~{shape_range_right}", "outside the range", "widen the range"
    ),
    "E10052": Code(
        "The AIPP configuration is invalid. Reason: {reason}", "keys do not fit each other", "correct the file"
    ),
    "E10054": Code(
        "The required option --{parameter} is empty, or a value before it is not in quotes",
        "the option is missing",
        "give the option, and quote values with ; or spaces",
    ),
    "E10055": Code("Not supported: {reason}", "this ATC cannot do that", "use another way", Refused),
    "E10056": Code("{parameter1} and {parameter2} cannot be given together", "both were given", "keep one"),
    "E10057": Code("--{parameter0} and --{parameter1} are given together or not at all", "one is missing", "give both"),
}
