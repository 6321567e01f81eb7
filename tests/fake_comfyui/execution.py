"""Validation and execution of API-format workflows by the rules of ComfyUI 0.3.64."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any

import torch
from comfy_api.latest import io

_CONVERT = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}

Workflow = dict[str, dict[str, Any]]


class InvalidWorkflow(Exception):
    """The server refused a workflow; the message says which input of which node."""


def _is_link(value: Any) -> bool:
    return isinstance(value, list)


@dataclass
class Server:
    """Node classes, and the outputs of the last run, which are reused where nothing changed."""

    nodes: dict[str, type[io.ComfyNode]]
    outputs: dict[Any, tuple] = field(default_factory=dict)
    executed: list[str] = field(default_factory=list)

    def run(self, workflow: Workflow) -> dict[str, io.NodeOutput]:
        """Validate and execute a workflow: what each node that had to run gave."""
        workflow = {id: {**node, "inputs": dict(node["inputs"])} for id, node in workflow.items()}
        for id in workflow:
            self._validate(workflow, id)
        self.executed = []
        results: dict[str, io.NodeOutput] = {}
        keys: dict[str, Any] = {}
        with torch.inference_mode():
            for id, node in workflow.items():
                if self.nodes[node["class_type"]].define_schema().is_output_node:
                    self._execute(workflow, id, keys, results)
        self.outputs = {key: value for key, value in self.outputs.items() if key in keys.values()}
        return results

    def call(self, class_type: str, **arguments: Any) -> tuple:
        """Execute one node by itself, with the defaults of the widgets that are not given: its outputs."""
        node = self.nodes[class_type]
        defaults = {i.id: i.options["default"] for i in node.define_schema().inputs if "default" in i.options}
        with torch.inference_mode():
            return self._call(node, "1", defaults | arguments).args

    def _validate(self, workflow: Workflow, id: str) -> None:
        node, inputs = self.nodes[workflow[id]["class_type"]], workflow[id]["inputs"]
        named: set[str] = set()
        if hasattr(node, "validate_inputs"):
            named = set(inspect.signature(node.validate_inputs).parameters)
        for i in node.define_schema().inputs:
            if i.id not in inputs:
                if not i.optional:
                    raise InvalidWorkflow(f"{id}: required input is missing: {i.id}")
                continue
            value = inputs[i.id]
            if _is_link(value):
                source = self.nodes[workflow[value[0]]["class_type"]].define_schema().outputs[value[1]]
                if i.io_type != "*" and source.io_type not in i.io_type.split(","):
                    raise InvalidWorkflow(f"{id}: {i.id} receives {source.io_type}, expected {i.io_type}")
                continue
            inputs[i.id] = value = _CONVERT.get(i.io_type, lambda v: v)(value)
            if i.id not in named and not i.options.get("min", value) <= value <= i.options.get("max", value):
                raise InvalidWorkflow(f"{id}: {i.id} is {value}, out of range")
        if named:
            given = {name: None if _is_link(inputs[name]) else inputs[name] for name in named & inputs.keys()}
            answer = node.call("validate_inputs", id, given)
            if answer is not True:
                raise InvalidWorkflow(f"{id}: {answer}")

    def _execute(self, workflow: Workflow, id: str, keys: dict[str, Any], results: dict[str, io.NodeOutput]) -> None:
        if id in keys:
            return
        node, inputs = self.nodes[workflow[id]["class_type"]], workflow[id]["inputs"]
        known = {i.id for i in node.define_schema().inputs}
        arguments, signature, fingerprinted = {}, [], {}
        for name, value in inputs.items():
            if name not in known:
                continue
            if _is_link(value):
                self._execute(workflow, value[0], keys, results)
                arguments[name] = self.outputs[keys[value[0]]][value[1]]
                signature.append((name, keys[value[0]], value[1]))
                fingerprinted[name] = None
            else:
                arguments[name] = fingerprinted[name] = value
                signature.append((name, value))
        try:
            fingerprint = (
                node.call("fingerprint_inputs", id, fingerprinted) if hasattr(node, "fingerprint_inputs") else ""
            )
        except Exception:
            fingerprint = object()  # as any other: the node has to run, and then says what is wrong
        key = keys[id] = (workflow[id]["class_type"], repr(fingerprint), *sorted(signature, key=lambda item: item[0]))
        if key in self.outputs:
            return
        output = self._call(node, id, arguments)
        self.executed.append(id)
        self.outputs[key], results[id] = output.args, output

    @staticmethod
    def _call(node: type[io.ComfyNode], id: str, arguments: dict[str, Any]) -> io.NodeOutput:
        before = {name: value.clone() for name, value in arguments.items() if isinstance(value, torch.Tensor)}
        output = node.call("execute", id, arguments)
        changed = [name for name, value in before.items() if not torch.equal(value, arguments[name])]
        assert not changed, f"{node.__name__} changed its inputs {changed} in place"
        if not isinstance(output, io.NodeOutput):
            raise TypeError(f"Invalid return type from node: {type(output)}")
        assert len(output.args) in (0, len(node.define_schema().outputs))
        return output
