/* SPDX-License-Identifier: MIT */
/* Guest code as text; see the header. */
#include "monitor/disassemble.h"

#include <inttypes.h>
#include <string.h>

#include "base/capstone.h"
#include "debug/symbols/symbols.h"
#include "machine/target.h"
#include "monitor/command.h"
#include "monitor/source.h"

enum { CODE_MAX = 16 }; /* of one instruction */
#define OPERAND_MIN UINT64_C(0x1000)

/* The symbol that a number among the operands is an address of. */
static char *operand_symbol(Vcpu *vcpu, const char *operands)
{
    const char *at = operands;

    while ((at = strstr(at, "0x"))) {
        char *end, *text;
        uint64_t value = g_ascii_strtoull(at, &end, 16);

        text = value >= OPERAND_MIN ? symbols_describe(vcpu->machine, vcpu, value) : NULL;
        if (text) {
            return text;
        }
        at = end > at ? end : at + 2;
    }
    return NULL;
}

static void annotate(json_t *object, Vcpu *vcpu, const cs_insn *instruction)
{
    g_autofree char *symbol = symbols_describe(vcpu->machine, vcpu, instruction->address);
    g_autofree char *target = operand_symbol(vcpu, instruction->op_str);
    SourceLine line;

    if (symbol) {
        monitor_put(object, "symbol", monitor_string(symbol));
    }
    if (target) {
        monitor_put(object, "target", monitor_string(target));
    }
    if (symbols_line(vcpu->machine, vcpu, instruction->address, &line)) {
        source_put(object, &line);
    }
}

static json_t *instruction_json(Vcpu *vcpu, const cs_insn *instruction)
{
    json_t *object = json_object();
    char hex[2 * sizeof instruction->bytes + 1] = "", *text;

    for (unsigned i = 0; i < instruction->size; i++) {
        g_snprintf(hex + 2 * i, 3, "%02x", instruction->bytes[i]);
    }
    text = g_strdup_printf("%s%s%s", instruction->mnemonic, *instruction->op_str ? " " : "",
                           instruction->op_str);
    monitor_put(object, "address", json_integer(instruction->address));
    monitor_put(object, "bytes", json_string(hex));
    monitor_put(object, "text", monitor_string(text));
    annotate(object, vcpu, instruction);
    g_free(text);
    return object;
}

json_t *disassemble(Vcpu *vcpu, DisassembleRead *read, void *opaque, uint64_t address,
                    unsigned count, bool *truncated, GError **error)
{
    const Target *target = vcpu->target;
    json_t *list;
    csh handle;

    if (!capstone_open(target->capstone_arch, target_capstone_mode(vcpu), &handle, error)) {
        return NULL;
    }
    /* What does not decode is shown as data, and the listing goes on. */
    capstone.cs_option(handle, CS_OPT_SKIPDATA, CS_OPT_ON);
    list = json_array();
    while (json_array_size(list) < count) {
        uint8_t bytes[CODE_MAX];
        cs_insn *instruction = NULL;
        size_t n = read(opaque, address, bytes, sizeof bytes);

        if (!n || capstone.cs_disasm(handle, bytes, n, address, 1, &instruction) != 1) {
            *truncated = true;
            break;
        }
        json_array_append_new(list, instruction_json(vcpu, instruction));
        address += instruction->size;
        capstone.cs_free(instruction, 1);
    }
    capstone.cs_close(&handle);
    return list;
}

/* A line before the first instruction of a function, of a listing, and of another source line. */
static void print_place(json_t *instruction, size_t index, char **source, GString *out)
{
    const char *symbol = monitor_get_string(instruction, "symbol");
    const char *file = monitor_get_string(instruction, "source");

    if (symbol && (!index || !strchr(symbol, '+'))) {
        g_string_append_printf(out, "%s:\n", symbol);
    }
    if (file) {
        char *place = g_strdup_printf("%s:%d", file, (int)monitor_get_int(instruction, "line", 0));

        if (g_strcmp0(place, *source)) {
            g_string_append_printf(out, "; %s", place);
            if (monitor_has(instruction, "source-text")) {
                g_string_append_printf(out, "  %s", monitor_get_string(instruction, "source-text"));
            }
            g_string_append_c(out, '\n');
        }
        g_free(*source);
        *source = place;
    }
}

void disassemble_print(json_t *list, const uint64_t *mark, GString *out)
{
    char *source = NULL;
    size_t i;
    json_t *instruction;

    json_array_foreach(list, i, instruction)
    {
        uint64_t address = monitor_get_int(instruction, "address", 0);
        const char *target = monitor_get_string(instruction, "target");

        print_place(instruction, i, &source, out);
        g_string_append_printf(out, "%s0x%08" PRIx64 ":  %-16s  %s%s%s\n",
                               mark ? (address == *mark ? "=> " : "   ") : "", address,
                               monitor_get_string(instruction, "bytes"),
                               monitor_get_string(instruction, "text"), target ? "  ; " : "",
                               target ? target : "");
    }
    g_free(source);
}
