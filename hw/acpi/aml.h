/* SPDX-License-Identifier: MIT */
/*
 * Writes AML, the byte code of ACPI's definition blocks (ACPI 6.5, chapter 20). Terms are appended to a GByteArray in the order
 * of the source; what has a length is opened and closed:
 *
 *     size_t device = aml_device(out, "COM1");
 *     aml_name(out, "_HID");
 *     aml_eisa_id(out, "PNP0501");
 *     aml_end(out, device);
 */
#ifndef HW_ACPI_AML_H
#define HW_ACPI_AML_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* Terms without operands of their own, for aml_op. */
typedef enum {
    AML_ZERO = 0x00,
    AML_ONE = 0x01,
    AML_LOCAL0 = 0x60, /* to LOCAL7 */
    AML_ARG0 = 0x68,   /* to ARG6 */
    AML_STORE = 0x70,  /* value, target */
    AML_ADD = 0x72,    /* a, b, target */
    AML_SUBTRACT = 0x74,
    AML_INCREMENT = 0x75,
    AML_SHIFT_LEFT = 0x79, /* a, count, target */
    AML_SHIFT_RIGHT = 0x7a,
    AML_AND = 0x7b,
    AML_OR = 0x7d,
    AML_NOTIFY = 0x86, /* object, value */
    AML_INDEX = 0x88,  /* package, index, target */
    AML_LNOT = 0x92,
    AML_LAND = 0x90,
    AML_LOR = 0x91,
    AML_EQUAL = 0x93,
    AML_GREATER = 0x94,
    AML_LESS = 0x95,
    AML_DEREF_OF = 0x83,
    AML_BREAK = 0xa5,
    AML_RETURN = 0xa4, /* value */
    AML_ONES = 0xff,
} AmlOp;

void aml_op(GByteArray *out, AmlOp op);
/* A reference to a name: "\\_SB.PCI0", "^PRQ0", "_STA". */
void aml_path(GByteArray *out, const char *path);
void aml_integer(GByteArray *out, uint64_t value);
/* An integer of four bytes whatever its value, for what is filled in later: where it is in `out`. */
size_t aml_dword(GByteArray *out, uint32_t value);
void aml_string(GByteArray *out, const char *text);
/* A compressed identifier, three letters and four hexadecimal digits. */
void aml_eisa_id(GByteArray *out, const char *id);
void aml_buffer(GByteArray *out, const void *data, size_t size);

/* Name (path, value): the value follows. */
void aml_name(GByteArray *out, const char *path);
void aml_name_integer(GByteArray *out, const char *path, uint64_t value);
void aml_name_string(GByteArray *out, const char *path, const char *text);

/* Blocks: each returns what aml_end takes. */
size_t aml_scope(GByteArray *out, const char *path);
size_t aml_device(GByteArray *out, const char *name);
size_t aml_method(GByteArray *out, const char *name, unsigned arguments, bool serialized);
size_t aml_package(GByteArray *out, unsigned count);
size_t aml_if(GByteArray *out);
size_t aml_else(GByteArray *out);
size_t aml_while(GByteArray *out);
void aml_end(GByteArray *out, size_t block);

typedef enum { AML_SYSTEM_MEMORY, AML_SYSTEM_IO, AML_PCI_CONFIG } AmlSpace;
void aml_region(GByteArray *out, const char *name, AmlSpace space, uint64_t offset, uint64_t length);
/* access: bytes of one access, or 0 for any. preserve: other bits of a unit keep their value, else they become 0. */
size_t aml_field(GByteArray *out, const char *region, unsigned access, bool preserve);
void aml_field_unit(GByteArray *out, const char *name, unsigned bits);
void aml_field_skip(GByteArray *out, unsigned bits);

/* CreateDWordField: of the buffer at path, or when that is NULL, of the argument or local `source`. */
void aml_create_dword_field(GByteArray *out, AmlOp source, const char *path, unsigned offset, const char *name);

void aml_mutex(GByteArray *out, const char *name);
void aml_acquire(GByteArray *out, const char *name);
void aml_release(GByteArray *out, const char *name);

/* Resource templates (ACPI 6.5, 6.4), to be made apart and added with aml_resources. */
void aml_io(GByteArray *resources, uint16_t first, uint16_t last, uint8_t align, uint8_t length);
void aml_irq(GByteArray *resources, unsigned irq);
void aml_dma(GByteArray *resources, unsigned channel);
void aml_memory32_fixed(GByteArray *resources, uint32_t address, uint32_t size, bool writable);
/* A choice of level-triggered, shared, active-high interrupts. */
void aml_interrupts(GByteArray *resources, const uint32_t *irqs, unsigned count);
void aml_bus_range(GByteArray *resources, uint16_t first, uint16_t last);
/* What a bridge passes on; size > 0. */
void aml_io_window(GByteArray *resources, uint16_t first, uint16_t last);
void aml_memory_window(GByteArray *resources, uint32_t first, uint32_t last, bool cacheable);
void aml_memory_window64(GByteArray *resources, uint64_t first, uint64_t last);
/* As a buffer term, with the end tag; frees resources. */
void aml_resources(GByteArray *out, GByteArray *resources);

#endif
