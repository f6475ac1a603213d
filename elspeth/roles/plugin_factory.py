"""Builds the plugins of a plan inside a child: loads the user's files, validates options, sets up."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from elspeth.audit.fencing import prove_ownership
from elspeth.audit.store.place import from_wire
from elspeth.calls.caller import Caller
from elspeth.errors import ConfigurationMismatch, ElspethError, SettingsError, Temporary
from elspeth.execution.retry import RetryPolicy
from elspeth.graph.model import Node
from elspeth.located import known_as, located
from elspeth.payloads import Payloads, PayloadStore
from elspeth.plugins import registry
from elspeth.plugins.contract import Context, Plugin
from elspeth.plugins.references.hashes import reference_hash
from elspeth.roles.elsewhere.files import stop_at_missing_files
from elspeth.roles.plan import Plan


class PluginFactory:
    """What a child needs of a plan in order to carry it out.

    Raises `SettingsError` where a plugin is missing or refuses its options, `ConfigurationMismatch` where a reference
    file is not what it was when the attempt began, `Temporary` where one cannot be read any more.
    """

    def __init__(
        self, plan: Plan, beat: Any = None, caller: Caller | None = None, payloads: Payloads | None = None
    ) -> None:
        self.plan = plan
        self._beat = beat
        self._caller = caller
        self._payloads = payloads or PayloadStore(Path(plan.payload_base), plan.inline_limit)
        if plan.baggage is None:
            os.chdir(plan.working_directory)
        registry.load_files([Path(file) for file in plan.plugin_files])

    def build(self, node: Node) -> Plugin:
        """The node's plugin, built and set up."""
        kind = node.kind
        assert kind in ("source", "transform", "aggregation", "sink")
        plugin = registry.build(registry.find(kind, node.plugin), node.options, node.id)
        for path in plugin.reference_files():
            try:
                found = reference_hash(path)
            except SettingsError as error:  # it could be read when the attempt began
                raise Temporary(
                    error.message, next_step=f"put it back as it was, then: elspeth resume {self.plan.run_id}"
                ) from error
            if found != self.plan.references.get(known_as(path)):
                raise ConfigurationMismatch(
                    f"Configuration mismatch: the reference file {path} of {node.id} changed while the run went on",
                    next_step=f"put it back as it was and resume, or: elspeth resume {self.plan.run_id} "
                    "--accept-changed-code",
                )
        if self.plan.baggage is not None:
            stop_at_missing_files(plugin, node.id)
        try:
            plugin.setup(self.context(node.id))
        except SystemExit as error:
            raise ElspethError(
                f"the plugin of {node.id} would end the program when it is set up: sys.exit({error.code!r})",
                next_step=f"correct the plugin, then: elspeth resume {self.plan.run_id} --accept-changed-code",
            ) from error
        return plugin

    def context(self, node_id: str) -> Context:
        """A fresh context for calls of this node's plugin."""
        plan = self.plan
        return Context(
            plan.run_id,
            node_id,
            state_directory=located(plan.state_directory),
            headers=plan.headers,
            types=plan.graph.types_at(node_id),
            names=plan.names.get(node_id, {}),
            takes_refused=plan.graph.takes_refused(node_id),
            evidence=plan.graph.evidence(node_id),
            fields=plan.fields.get(node_id, ()),
            unlike=plan.unlike.get(node_id, ()),
            inputs=plan.inputs.get(node_id),
            keeps_replaced=node_id in plan.keeps_replaced,
            _beat=self._beat,
            _prove=self.prove if plan.baggage is None else None,
            _caller=self._caller,
            _stage=plan.graph.node(node_id).stage if self._caller is not None else 0,
            _calls=self._caller is not None,
        )

    def prove(self) -> None:
        """Raise `TakenOver` if the run is not this attempt's any more."""
        prove_ownership(from_wire(self.plan.database), self.plan.run_id, self.plan.attempt)

    def payloads(self) -> Payloads:
        """Where large data goes: one store for all recorders of the process, so that one `write_out` covers them."""
        return self._payloads

    def retry(self) -> RetryPolicy:
        """When transient errors are tried again."""
        return self.plan.retry
