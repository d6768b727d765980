"""ATC's error codes: text, cause, remedy, and the class of error that the client raises.

Numbers, meanings and arguments are those of docs/reference/atc.md §3.4; the wording is AtlasFlow's. The
stand-in prints these texts, and the client explains codes with them.
"""

from collections.abc import Mapping

from infra.atc.code import Code
from infra.atc.option_codes import OPTION_CODES
from infra.errors import Refused


class AtcError(Exception):
    """A code that ends ATC; raised inside the stand-in, printed by its command."""

    def __init__(self, code: str, **arguments: object) -> None:
        self.code = code
        self.text = CODES[code].text.format(**arguments)
        super().__init__(f"{code}: {self.text}")


_SETUP = "source the toolkit's set_env.sh, and see that its packages fit each other"
_PYTHON = "give ATC a python3 that its CANN supports (3.7 to 3.10 for 8.0) with numpy below 2"

CODES: Mapping[str, Code] = {
    **OPTION_CODES,
    "E10410": Code("The file [{cfgpath}] does not exist", "the path is wrong", "check the path"),
    "E10501": Code(
        "There is no prototype for operator [{opname}] of type [{optype}]",
        "the operator is unknown, or ASCEND_OPP_PATH is wrong",
        "express the model in known operators, or source set_env.sh",
        Refused,
    ),
    "E11005": Code("The shape of input [{input}] is not known", "the model leaves it open", "give it in --input_shape"),
    "E11017": Code(
        "--out_nodes names [{opname}], which the model does not have", "the name is misspelt", "name a node"
    ),
    "E13000": Code("The path of {patharg} is empty", "no path was given", "give a path"),
    "E13001": Code(
        "The file [{file}] cannot be opened: {errmsg}", "it is missing or forbidden", "check path and rights"
    ),
    "E13002": Code("The path [{filepath}] is longer than {size}", "the path is too long", "use a shorter path"),
    "E13003": Code("The file [{file}] cannot be read: {errmsg}", "it is damaged or forbidden", "check file and rights"),
    "E13004": Code(
        "The file [{file}] cannot be written: {errmsg}",
        "no space or no permission",
        "make space, check rights",
        Refused,
    ),
    "E13005": Code("The file [{file}] cannot be parsed", "it is damaged or of another kind", "check the file"),
    "E13015": Code(
        "The file [{file}] has {size} bytes; it may have 1 to {maxsize}", "empty or too large", "check the file"
    ),
    "E13018": Code(
        "The file [{protofile}] is not valid protobuf text: {reason}", "a slip in the text", "correct the file"
    ),
    "E13023": Code(
        "The compiled model has {size} bytes, more than {maxsize}", "the model is too large", "make it smaller"
    ),
    "E13024": Code("The environment variable {env} is wrong: {value}", "the toolkit is not set up", _SETUP),
    "E13025": Code("The input tensor is invalid: {reason}", "a buffer does not fit the model", "check sizes"),
    "E14001": Code(
        "Value [{value}] of operator [{opname}] of type [{optype}] is invalid. Reason: {reason}",
        "the operator's attributes or inputs do not fit",
        "correct the model",
        Refused,
    ),
    "E16001": Code("The model has no {value} node", "the graph is empty", "export the model again"),
    "E16002": Code(
        "No parser is registered for the ONNX operator [{optype}]",
        "the operator is not one of ONNX, or the installation is incomplete",
        "express the model in standard operators",
        Refused,
    ),
    "E16003": Code(
        "The ONNX model cannot be parsed", "it is not built as ATC expects", "look at it with --mode=3", Refused
    ),
    "E16004": Code("The ONNX model has no graph", "the file is incomplete", "export the model again"),
    "E16005": Code(
        "The model names {domain_version_num} versions of its operator set", "it may name one", "export again"
    ),
    "E19010": Code(
        "No parser is registered for Op [{opname}, optype [{optype}]]",
        "the operator is none of ONNX's, or the model's opset is newer or older than this ATC knows",
        "express the model in standard operators, and export it with opset 11 or 13",
        Refused,
    ),
    "E19999": Code("Inner error: {reason}", "something inside the compiler failed", "read the lines above", Refused),
    "E20001": Code("An operator cannot be compiled", "its kernel fails to build", "read ATC's plog", Refused),
    "E22001": Code("An operator cannot be compiled", "its kernel fails to build", "read ATC's plog", Refused),
    "E40001": Code("An environment variable is wrong", "the toolkit is not set up", _SETUP),
    "E40002": Code("The Python of this machine does not fit", "ATC runs the system's python3", _PYTHON),
    "E40020": Code("A Python module cannot be imported", "ATC runs the system's python3", _PYTHON),
    "E40021": Code("An operator cannot be compiled", "its kernel fails to build", "read ATC's plog", Refused),
    "E40024": Code("A call into Python failed", "ATC runs the system's python3", _PYTHON),
    "EC0010": Code("A Python module cannot be imported", "ATC runs the system's python3", _PYTHON),
    "EZ0501": Code("There is no prototype for an operator", "the operator is unknown", "use known operators", Refused),
    "EZ3002": Code(
        "Operator [{opname}] of type [{optype}] is not supported: {reason}",
        "no kernel takes these types and shapes",
        "express the model in supported operators",
        Refused,
    ),
    "EZ3003": Code(
        "No engine takes operator [{opname}] of type [{optype}]",
        "the chip has no such operator",
        "express the model in supported operators",
        Refused,
    ),
    "EZ9010": Code(
        "No parser is registered for an operator", "the model's opset is too new", "export with opset 11", Refused
    ),
    "EZ9999": Code("Inner error", "something inside the compiler failed", "read the lines above", Refused),
}
