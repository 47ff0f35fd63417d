/* SPDX-License-Identifier: MIT */
/*
 * State tables: what of a structure is state, as typed fields, so that it can be saved, loaded, shown and tested
 * without code for each. The saved form names each field and is independent of the layout and of the host.
 *
 * A table has all that the guest can see or change and that is not wiring, or is not made from the rest. What is made
 * from the rest is listed as STATE_DERIVED: the generic test compares a device byte by byte before and after
 * saving and loading, and knows by this what need not come back.
 *
 * Loading checks all that a table can say (sizes, greatest values); what else must hold is checked by the owner's
 * state_check. A saved state that is not ours must not be able to do more than fail.
 */
#ifndef MACHINE_STATE_H
#define MACHINE_STATE_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    STATE_KIND_INTEGERS, /* size / element integers (and bool) of `element` bytes, none above `most` */
    STATE_KIND_STRUCTS,  /* size / element structures, by the table `fields` */
    STATE_KIND_TIMERS,   /* size / element timers: their deadlines */
    STATE_KIND_BUFFER,   /* a pointer to bytes from g_malloc, as many as the uint32_t at `length` says, up to `most` */
    STATE_KIND_VALUE,    /* a number by hooks: C's bit fields, and what is kept in another form */
    STATE_KIND_DERIVED,  /* not saved */
} StateKind;

typedef struct StateField StateField;
struct StateField {
    const char *name; /* NULL ends a table */
    size_t offset, size, element;
    StateKind kind;
    uint16_t since; /* version of the table that brought the field: older snapshots leave what reset made */
    uint64_t most;  /* 0: no limit */
    size_t length;
    /*
     * The field is a pointer to what was allocated at realize: as many elements as the uint32_t or unsigned at `length`
     * says, which loading does not change. size is then the pointer's.
     */
    bool allocated;
    bool kept; /* a reset leaves it, or sets it by the time: battery-backed memory */
    const StateField *fields;
    uint64_t (*get)(const void *instance);
    void (*set)(void *instance, uint64_t value);
    /* The field is there only when this says so, by what does not change after realize. NULL: always. */
    bool (*present)(const void *instance);
};

/* The size of what an integer or an array (in any dimension) of them is made of; 0 for anything else. */
#define STATE_ELEMENT(lvalue)                                                                      \
    _Generic((lvalue),                                                                             \
        bool: 1, char: 1, int8_t: 1, uint8_t: 1, int16_t: 2, uint16_t: 2, int32_t: 4, uint32_t: 4, \
        int64_t: 8, uint64_t: 8, bool *: 1, char *: 1, uint8_t *: 1, uint16_t *: 2, int32_t *: 4,  \
        uint32_t *: 4, int64_t *: 8, uint64_t *: 8, uint8_t(*)[]: 1, default: 0)
/* The same, and an error of the compiler where it is 0. */
#define STATE_ELEMENT_SURE(lvalue)                                                                 \
    (STATE_ELEMENT(lvalue) + 0 * sizeof(char[STATE_ELEMENT(lvalue) ? 1 : -1]))
#define STATE_MEMBER(type, field) (((type *)0)->field)

/* An integer or an array of integers. A bool is 0 or 1, whatever was saved. */
#define STATE(type, field) STATE_AS(#field, type, field)
/* Under a name of its own: what it was saved as stays when the field moves. Versions: the device type's state_version. */
#define STATE_AS(text, type, field)                                                                \
    { .name = (text), .offset = offsetof(type, field), .size = sizeof(STATE_MEMBER(type, field)),  \
      .element = STATE_ELEMENT_SURE(STATE_MEMBER(type, field)),                                    \
      .most = _Generic(STATE_MEMBER(type, field), bool: 1, bool *: 1, default: 0) }
#define STATE_SINCE(version, type, field)                                                          \
    { .name = #field, .offset = offsetof(type, field), .size = sizeof(STATE_MEMBER(type, field)),  \
      .element = STATE_ELEMENT_SURE(STATE_MEMBER(type, field)), .since = (version),                \
      .most = _Generic(STATE_MEMBER(type, field), bool: 1, bool *: 1, default: 0) }
/* The same, that a reset need not define. */
#define STATE_KEPT(type, field)                                                                    \
    { .name = #field, .offset = offsetof(type, field), .size = sizeof(STATE_MEMBER(type, field)),  \
      .element = STATE_ELEMENT_SURE(STATE_MEMBER(type, field)), .kept = true }
#define STATE_KEPT_SINCE(version, type, field)                                                     \
    { .name = #field, .offset = offsetof(type, field), .size = sizeof(STATE_MEMBER(type, field)),  \
      .element = STATE_ELEMENT_SURE(STATE_MEMBER(type, field)), .since = (version), .kept = true,  \
      .most = _Generic(STATE_MEMBER(type, field), bool: 1, bool *: 1, default: 0) }
/* None of them above `limit`: what indexes something. */
#define STATE_MOST(type, field, limit)                                                             \
    { .name = #field, .offset = offsetof(type, field), .size = sizeof(STATE_MEMBER(type, field)),  \
      .element = STATE_ELEMENT_SURE(STATE_MEMBER(type, field)), .most = (limit) }
/* An array of more than one dimension, or of a vector type: integers of the type `integer`. */
#define STATE_ARRAY(type, field, integer)                                                          \
    { .name = #field, .offset = offsetof(type, field), .size = sizeof(STATE_MEMBER(type, field)),  \
      .element = sizeof(integer) }
/* A structure by a table of its own. */
#define STATE_STRUCT(type, field, table)                                                           \
    { .name = #field, .offset = offsetof(type, field), .size = sizeof(STATE_MEMBER(type, field)),  \
      .element = sizeof(STATE_MEMBER(type, field)), .kind = STATE_KIND_STRUCTS, .fields = (table) }
#define STATE_STRUCTS(type, field, table)                                                          \
    { .name = #field, .offset = offsetof(type, field), .size = sizeof(STATE_MEMBER(type, field)),  \
      .element = sizeof(STATE_MEMBER(type, field)[0]), .kind = STATE_KIND_STRUCTS, .fields = (table) }
/* What `field` points to: `count_field` integers, or structures. */
#define STATE_ALLOCATED(type, field, count_field)                                                  \
    { .name = #field, .offset = offsetof(type, field), .size = sizeof(STATE_MEMBER(type, field)),  \
      .element = STATE_ELEMENT_SURE(*STATE_MEMBER(type, field)), .allocated = true,                \
      .length = offsetof(type, count_field) }
#define STATE_STRUCTS_ALLOCATED(type, field, count_field, table)                                   \
    { .name = #field, .offset = offsetof(type, field), .size = sizeof(STATE_MEMBER(type, field)),  \
      .element = sizeof(*STATE_MEMBER(type, field)), .kind = STATE_KIND_STRUCTS,                   \
      .fields = (table), .allocated = true, .length = offsetof(type, count_field) }
#define STATE_TIMER(type, field)                                                                   \
    { .name = #field, .offset = offsetof(type, field), .size = sizeof(STATE_MEMBER(type, field)),  \
      .element = sizeof(Timer), .kind = STATE_KIND_TIMERS }
#define STATE_TIMER_AS_SINCE(version, text, type, field)                                           \
    { .name = (text), .offset = offsetof(type, field), .size = sizeof(STATE_MEMBER(type, field)),  \
      .element = sizeof(Timer), .kind = STATE_KIND_TIMERS, .since = (version) }
/* length_field: a uint32_t of the same structure, which is not listed itself. */
#define STATE_BUFFER(type, field, length_field, limit)                                             \
    { .name = #field, .offset = offsetof(type, field), .size = sizeof(STATE_MEMBER(type, field)),  \
      .element = 1, .kind = STATE_KIND_BUFFER, .most = (limit),                                    \
      .length = offsetof(type, length_field) }
#define STATE_VALUE(text, get_hook, set_hook)                                                      \
    { .name = (text), .kind = STATE_KIND_VALUE, .get = (get_hook), .set = (set_hook) }
#define STATE_VALUE_KEPT(text, get_hook, set_hook)                                                 \
    { .name = (text), .kind = STATE_KIND_VALUE, .get = (get_hook), .set = (set_hook), .kept = true }
#define STATE_DERIVED(type, field)                                                                 \
    { .name = #field, .offset = offsetof(type, field), .size = sizeof(STATE_MEMBER(type, field)),  \
      .kind = STATE_KIND_DERIVED }

/* Where a field's elements are in an instance, and their bytes. */
void *state_field_data(const StateField *field, const void *instance, size_t *size);
/* Appends the saved form of an instance. */
void state_save(const StateField *fields, const void *instance, GByteArray *out);
/*
 * Loads what state_save wrote with a table of `version`. After a failure, part of the instance has been loaded. who
 * names the owner in messages.
 */
bool state_load(const StateField *fields, void *instance, const char *who, unsigned version,
                const uint8_t *data, size_t size, GError **error);
/* Whether state_load would take it; nothing is changed. */
bool state_fits(const StateField *fields, const void *instance, const char *who, unsigned version,
                const uint8_t *data, size_t size, GError **error);

#endif
