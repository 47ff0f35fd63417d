/* SPDX-License-Identifier: MIT */
/*
 * C types as a debugger knows them, whatever format they were read from: a table in which types refer to each other by number. Number 0
 * is void. References are checked when the table is made, but may go in circles: whoever follows them counts.
 */
#ifndef DEBUG_TYPES_H
#define DEBUG_TYPES_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum {
    TYPE_VOID,
    TYPE_INT,
    TYPE_FLOAT,
    TYPE_POINTER,
    TYPE_ARRAY,
    TYPE_STRUCT,
    TYPE_UNION,
    TYPE_ENUM,
    TYPE_FORWARD, /* a struct or union that is nowhere defined */
    TYPE_TYPEDEF,
    TYPE_QUALIFIER, /* const, volatile and the like */
    TYPE_FUNCTION,
    TYPE_UNREAD, /* types_get reads it first */
} TypeKind;

enum {
    TYPE_SIGNED = 1,
    TYPE_CHAR = 2,
    TYPE_BOOL = 4
}; /* of TYPE_INT; TYPE_SIGNED of TYPE_ENUM too */

typedef struct {
    uint8_t kind, encoding;
    uint32_t name;         /* offset in the strings; 0: none */
    uint32_t size;         /* bytes; TYPE_ARRAY: elements */
    uint32_t target;       /* what it points to, is an array of, or is another name of */
    uint32_t first, count; /* members, or enumerators */
} Type;

typedef struct {
    uint32_t name, type;
    uint32_t bit_offset;
    uint8_t bit_size; /* 0: no bit field */
} TypeMember;

typedef struct {
    uint32_t name;
    int64_t value;
} TypeEnumerator;

typedef struct Types Types;

/* Where a table's types come from that are read as they are looked at. */
typedef struct {
    /* Fills in a type that is TYPE_UNREAD; may append more to all arrays. */
    void (*read)(Types *types, uint32_t number);
    /* In the place of a search through the table. */
    uint32_t (*find)(Types *types, TypeKind kind, const char *name);
} TypesReader;

struct Types {
    GArray *types;       /* Type */
    GArray *members;     /* TypeMember */
    GArray *enumerators; /* TypeEnumerator */
    char *strings;
    size_t string_bytes; /* the last is a NUL */
    unsigned pointer_bytes;
    GHashTable *named; /* name -> list of numbers; made when first needed */
    const TypesReader *reader; /* NULL: all of it is there */
    void *reader_opaque;
};

enum { TYPES_NONE = 0, TYPES_DEPTH_MAX = 32 };

Types *types_new(unsigned pointer_bytes);
/* One that is read as it is looked at; of so many elements at most, which never move. Strings are the caller's to make. */
Types *types_new_read(unsigned pointer_bytes, const TypesReader *reader, void *opaque,
                      unsigned types_max, unsigned members_max, unsigned enumerators_max);
void types_free(Types *types);
const Type *types_get(const Types *types, uint32_t number);
const char *types_name(const Types *types, uint32_t string);
/* "struct task_struct", "u32", with any number of * behind; number of the type, and how many stars there were. false: there is none such. */
bool types_find(Types *types, const char *text, uint32_t *number, unsigned *stars);
/* By kind and name; TYPES_NONE. */
uint32_t types_find_kind(Types *types, TypeKind kind, const char *name);
/* Through typedefs and qualifiers. */
uint32_t types_resolve(const Types *types, uint32_t number);
/* In bytes; 0: not known, or too large to be true. */
uint64_t types_size(const Types *types, uint32_t number);
/* How C writes it: "struct list_head *", "char [16]". Caller frees. */
char *types_describe(const Types *types, uint32_t number);

typedef struct {
    uint64_t bit_offset;
    uint8_t bit_size; /* 0: no bit field */
    uint32_t type;
} TypePlace;

/*
 * What "core_layout.base" or "mem[1].size" of a struct or union is, members of anonymous ones included. false: there is no
 * such member.
 */
bool types_member(const Types *types, uint32_t number, const char *path, TypePlace *place);
/* The offset in bytes of a member of a struct, or false. */
bool types_offset(Types *types, const char *structure, const char *path, uint64_t *offset);

#endif
