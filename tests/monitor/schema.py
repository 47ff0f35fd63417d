# SPDX-License-Identifier: MIT
"""Looks whether values are what query-qmp-schema says."""

JSON_TYPES = {"str": str, "int": int, "bool": bool, "number": (int, float), "any": object}


class Types:
    def __init__(self, entries):
        self.types = {}
        self.returns = {}
        self.arguments = {}
        self.events = {entry["name"] for entry in entries if entry["meta-type"] == "event"}
        for entry in entries:
            if entry["meta-type"] == "command":
                self.returns[entry["name"]] = entry["ret-type"]
                self.arguments[entry["name"]] = entry["arg-type"]
            elif entry["meta-type"] != "event":
                assert entry["name"] not in self.types, entry
                self.types[entry["name"]] = entry
        for name in list(self.types):
            self.check_type(name)
        for name in (*self.returns.values(), *self.arguments.values()):
            assert name in self.types, name

    def check_type(self, name):
        """All that a type refers to is there."""
        entry = self.types[name]
        if entry["meta-type"] == "array":
            assert entry["element-type"] in self.types, entry
        if entry["meta-type"] == "object":
            members = {m["name"]: m["type"] for m in entry["members"]}
            assert len(members) == len(entry["members"]) and set(members.values()) <= set(self.types), entry
            for variant in entry.get("variants", []):
                assert self.types[variant["type"]]["meta-type"] == "object", variant
                tag = self.types[members[entry["tag"]]]
                assert tag["name"] == "str" or variant["case"] in tag["values"], variant

    def members(self, entry, value):
        found = {m["name"]: m for m in entry["members"]}
        for variant in entry.get("variants", []):
            if value.get(entry["tag"]) == variant["case"]:
                found.update(self.members(self.types[variant["type"]], value))
        return found

    def check(self, value, name, where):
        entry = self.types[name]
        kind = entry["meta-type"]
        if kind == "builtin":
            right = isinstance(value, JSON_TYPES[name]) and (name == "bool" or name == "any" or not isinstance(value, bool))
            assert right, (where, value, name)
        elif kind == "enum":
            assert value in entry["values"], (where, value, entry["values"])
        elif kind == "array":
            assert isinstance(value, list), (where, value)
            for i, element in enumerate(value):
                self.check(element, entry["element-type"], f"{where}[{i}]")
        else:
            assert isinstance(value, dict), (where, value)
            members = self.members(entry, value)
            for key, inner in value.items():
                assert key in members, f"{where}.{key} is no member of {name}"
                self.check(inner, members[key]["type"], f"{where}.{key}")
            for key, member in members.items():
                assert key in value or "default" in member, f"{where}.{key} of {name} is missing"

    def check_answer(self, command, value):
        self.check(value, self.returns[command], command)
