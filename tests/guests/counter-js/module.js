// A counter, written against the WIT and no SDK: commands StartCounter and Add {by}, event Added {by}, state {total},
// and a read model of the totals.

import documents from "millwork:documents/documents@0.1.0";

// The most that a counter holds.
const TOTAL_MAX = 1_000_000_000;
const COLLECTION = "counters";

function totalOf(counter) {
    return counter.state === null ? 0 : JSON.parse(counter.state).total;
}

export const aggregates = {
    // Both commands lead to the same event: a counter starts at the first step.
    decide(target, _related, command, _context) {
        if (command.name !== "StartCounter" && command.name !== "Add") {
            throw new Error(`no such command: ${command.name}`);
        }
        const { by } = JSON.parse(command.data);
        const total = totalOf(target) + by;
        if (total > TOTAL_MAX) {
            const reason = { code: "counter-full", message: "The counter cannot hold that much." };
            throw { tag: "conflict", val: reason };
        }
        return {
            events: [{ name: "Added", of: target.of, data: JSON.stringify({ by }) }],
            states: [[target.of, JSON.stringify({ total })]],
            claims: [],
            releases: [],
        };
    },

    evolve(counter, events) {
        const total = events.reduce((sum, event) => sum + JSON.parse(event.data).by, totalOf(counter));
        return JSON.stringify({ total });
    },
};

export const projections = {
    apply(projection, events) {
        if (projection !== "Counters") {
            throw new Error(`no such projection: ${projection}`);
        }
        for (const event of events) {
            const present = documents.get(COLLECTION, event.of.id);
            const before = present === null ? 0 : JSON.parse(present).total;
            const total = before + JSON.parse(event.data).by;
            documents.put(COLLECTION, event.of.id, JSON.stringify({ total }));
        }
    },
};

export const lifecycle = {
    activate(_previous) {},
    deactivate() {},
    health() {},
    describe() {
        return JSON.stringify({
            aggregates: { Counter: { commands: ["StartCounter", "Add"], events: ["Added"] } },
            projections: ["Counters"],
            queries: [],
        });
    },
};
