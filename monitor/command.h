/* SPDX-License-Identifier: MIT */
/*
 * Monitor commands. Each is defined once: a name in QMP and one in HMP, an argument schema, a
 * handler that returns structured data, and a printer that makes HMP's text from it. Both front
 * ends, help, completion and schema introspection work from the definition.
 *
 * Handlers run in the main loop with the machine lock held.
 */
#ifndef MONITOR_COMMAND_H
#define MONITOR_COMMAND_H

#include <glib.h>
#include <jansson.h>

#include "base/error.h"
#include "base/registry.h"
#include "machine/machine.h"

typedef struct Monitor Monitor;

typedef enum {
    ARGUMENT_STRING,
    ARGUMENT_REST,   /* string; HMP: all that is left of the line */
    ARGUMENT_INT,    /* HMP: an expression, registers as $name */
    ARGUMENT_SIZE,   /* integer; HMP: number with K M G T suffix */
    ARGUMENT_BOOL,   /* HMP: on or off */
    ARGUMENT_FLAG,   /* bool; HMP: -letter */
    ARGUMENT_FORMAT, /* string such as "4xw"; HMP: after a slash */
    ARGUMENT_ANY,    /* any JSON value; HMP: a string, or JSON when it is some */
    ARGUMENT_OBJECT, /* JSON object; QMP only */
} ArgumentKind;

/* Adds what an argument may be; the caller picks those with the typed prefix. */
typedef void MonitorCompleter(Machine *machine, GPtrArray *candidates);

typedef struct {
    const char *name; /* NULL ends a table */
    ArgumentKind kind;
    bool optional;
    const char *summary;
    char letter; /* ARGUMENT_FLAG; ARGUMENT_STRING and _INT: in HMP the word after -letter */
    MonitorCompleter *complete;
    const char *const *values; /* ARGUMENT_STRING: what it may be; NULL: anything */
    bool qmp;                  /* not in HMP */
    const char *type; /* ARGUMENT_ANY: as schema-types.h spells it, for the schema; the handler checks */
} MonitorArgument;

enum {
    COMMAND_OPEN_ARGUMENTS = 1, /* QMP: members beyond the schema are allowed (device_add) */
    COMMAND_NEGOTIATION = 2,    /* QMP: only before the capabilities are negotiated */
    COMMAND_NOT_YET = 4,        /* known from other emulators, not built */
};

/* Takes one member more of a variant: of the value that the tag has then. All of a value come one after another. */
typedef void MonitorVariantTaker(void *opaque, const char *value, const char *member);
/* All of a table (NULL: none) but what is not built. */
void monitor_take_properties(MonitorVariantTaker *take, void *opaque, const char *value,
                             const Property *properties);

typedef struct {
    const char *name; /* QMP's name; NULL: HMP only */
    const char *hmp;  /* HMP's name, alternatives after '|' ("cont|c", "info status"); NULL: none */
    const char *summary;
    const MonitorArgument *arguments; /* NULL: none */
    unsigned flags;
    /*
     * arguments: an object checked against the schema. Returns a new reference; NULL with *error
     * set for a failure, NULL without for nothing to tell (QMP's empty object).
     */
    json_t *(*run)(Monitor *monitor, json_t *arguments, GError **error);
    /* NULL: prints nothing, or the member human-readable-text when there is one. */
    void (*print)(Monitor *monitor, json_t *result, GString *out);
    /* The type of what QMP is given, as schema-types.h spells it; NULL: nothing (of x- and query- commands: anything). */
    const char *returns;
    /* Of open arguments, for the schema: the one whose value decides which others there are, and those. */
    const char *tag;
    void (*variants)(MonitorVariantTaker *take, void *opaque);
} MonitorCommand;
#define MONITOR_COMMAND(object) REGISTRY_ADD(monitor_commands, object)
REGISTRY_DECLARE(monitor_commands, MonitorCommand);

/* What a handler may see of its session. */
Machine *monitor_machine(Monitor *monitor);
/* The CPU chosen by `cpu N`; NULL with an error when the machine has none. */
Vcpu *monitor_vcpu(Monitor *monitor, GError **error);
void monitor_set_vcpu(Monitor *monitor, unsigned index);
unsigned monitor_vcpu_index(Monitor *monitor);
/* The lines that were typed into it, oldest first (char *); NULL: nobody types here. */
const GPtrArray *monitor_history(Monitor *monitor);
/* A descriptor that came with the command over the session's socket, now the caller's; -1 with an error: none came. */
int monitor_take_descriptor(Monitor *monitor, GError **error);
/* Ends this session's output before the process ends (`quit`). */
bool monitor_negotiated(Monitor *monitor);
void monitor_set_negotiated(Monitor *monitor);

/*
 * For a handler whose answer takes time. It returns NULL, and monitor_answer is called once, with the result or an error, both of which it takes. A session
 * for people takes no line meanwhile; QMP goes on, and sends the answer when it is there. gone: the session ends, or its user has pressed
 * Ctrl-C: there is nobody to be answered any more. NULL with an error: the session cannot wait.
 */
typedef struct MonitorAnswer MonitorAnswer;
MonitorAnswer *monitor_answer_later(Monitor *monitor, const MonitorCommand *command,
                                    void (*gone)(void *opaque), void *opaque, GError **error);
void monitor_answer(MonitorAnswer *answer, json_t *result, GError *failure);
/* A line for people meanwhile, of how far it is. */
void monitor_answer_note(MonitorAnswer *answer, const char *line);

/* One line of HMP is run on behalf of a QMP session: its result is an answer at once. */
void monitor_set_in_line(Monitor *monitor, bool in_line);

/* The commands sorted by QMP name (qmp) or HMP name; caller unrefs. */
GPtrArray *monitor_sorted_commands(bool qmp);
const MonitorCommand *monitor_find_qmp(const char *name);
/* Runs a command after checking its arguments (NULL: none); the error's code gives QMP's class. */
json_t *monitor_run(Monitor *monitor, const MonitorCommand *command, json_t *arguments,
                    GError **error);
/* Runs one HMP line; text goes to out. */
bool monitor_run_hmp(Monitor *monitor, const char *line, GString *out, GError **error);

/* A JSON string of text that may not be valid UTF-8. NULL gives "". */
json_t *monitor_string(const char *text);
/* {"human-readable-text": text}; frees text. */
json_t *monitor_text(GString *text);
/* Members of checked arguments; the defaults are for absent ones. */
const char *monitor_get_string(json_t *arguments, const char *name);
int64_t monitor_get_int(json_t *arguments, const char *name, int64_t absent);
bool monitor_get_bool(json_t *arguments, const char *name);
bool monitor_has(json_t *arguments, const char *name);
/* object[name] = value, taking the reference. */
void monitor_put(json_t *object, const char *name, json_t *value);

/* Completers. */
MonitorCompleter monitor_complete_devices, monitor_complete_device_types, monitor_complete_chardevs,
    monitor_complete_netdevs, monitor_complete_drives, monitor_complete_log_items,
    monitor_complete_commands, monitor_complete_cpus;

#endif
