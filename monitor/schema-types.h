/* SPDX-License-Identifier: MIT */
/* Types of what QMP commands return, for query-qmp-schema. */
#ifndef MONITOR_SCHEMA_TYPES_H
#define MONITOR_SCHEMA_TYPES_H

/*
 * An object, or an enumeration. A type in `members`, and in a command's `returns`, is str, int, number, bool, any, one of these by its
 * name, or a list of either: "[str]".
 */
typedef struct {
    const char *name;    /* NULL ends the table */
    const char *members; /* objects: "id str, label? str": those with '?' may be absent */
    const char *values;  /* enumerations */
    const char *
        variants; /* "type: qcow2=A luks=B": by that member's value, another object's members are there, too */
} MonitorType;

extern const MonitorType monitor_types[];

#endif
