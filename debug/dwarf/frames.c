/* SPDX-License-Identifier: MIT */
/* How functions' frames look: call frame information of .debug_frame and .eh_frame (DWARF 5, chapter 6.4; LSB 5, chapter 10.6). */
#include <elf.h>

#include "debug/dwarf/evaluate.h"

enum { FRAMES_MAX = 1 << 20, STATES_MAX = 8, INSTRUCTIONS_MAX = 1 << 16 };

/* One function's: a frame description entry. */
typedef struct {
    uint64_t start, end;
    uint64_t offset; /* of the entry, in its section */
    bool eh;         /* .eh_frame */
} FrameEntry;

struct DwarfFrames {
    GArray *entries; /* FrameEntry, by start */
};

/* A common information entry. */
typedef struct {
    uint64_t code_align;
    int64_t data_align;
    uint64_t return_register;
    uint8_t address_size, encoding;
    bool augmented; /* entries have a length of augmentation data */
    bool signal;    /* frames that were interrupted */
    DwarfCursor instructions;
} FrameCommon;

/* --- reading entries --------------------------------------------------------------------------- */

typedef struct {
    DwarfFile *dwarf;
    DwarfSectionKind kind;
    bool eh;
} FrameSource;

/* DW_EH_PE_*: how an address is written. */
static uint64_t encoded(const FrameSource *source, DwarfCursor *c, unsigned encoding,
                        unsigned address_size)
{
    static const uint8_t sizes[16] = { [2] = 2, [3] = 4, [4] = 8, [10] = 2, [11] = 4, [12] = 8 };
    const DwarfSection *section = dwarf_section(source->dwarf, source->kind);
    uint64_t here = section->address + (uint64_t)(c->at - section->bytes), value;
    unsigned form = encoding & 15, size = form ? sizes[form] : address_size;

    if (form == 1) {
        value = dwarf_uleb(c);
    } else if (form == 9) {
        value = (uint64_t)dwarf_sleb(c);
    } else if (size) {
        value = dwarf_number(c, size);
        value = form & 8 ? (uint64_t)bits_sign_extend(value, 8 * size) : value;
    } else {
        dwarf_fail(c);
        return 0;
    }
    switch (encoding & 0xf0) {
    case 0x00:
        break;
    case 0x10:
        value += here;
        break;
    default: /* relative to what is not known here, or a pointer to it */
        dwarf_fail(c);
    }
    return value & bits_mask(8 * address_size);
}

static void read_augmentation(const FrameSource *source, DwarfCursor *c, const char *letters,
                              FrameCommon *common)
{
    uint64_t size = dwarf_uleb(c);
    const uint8_t *bytes = dwarf_take(c, size);
    const DwarfSection *section = dwarf_section(source->dwarf, source->kind);
    DwarfCursor data = dwarf_cursor(bytes, bytes ? size : 0);

    common->augmented = true;
    for (letters++; *letters; letters++) {
        unsigned encoding;

        switch (*letters) {
        case 'R':
            common->encoding = dwarf_u8(&data);
            break;
        case 'P':
            encoding = dwarf_u8(&data);
            if ((encoding & 0x70) == 0x50) { /* aligned */
                dwarf_take(&data, -(uint64_t)(data.at - section->bytes) % common->address_size);
            }
            encoded(source, &data, encoding & 15, common->address_size);
            break;
        case 'L':
            dwarf_u8(&data);
            break;
        case 'S':
            common->signal = true;
            break;
        default: /* the rest is not known, and stepped over by its length */
            return;
        }
    }
}

/* An entry's bytes behind its length, at an offset of the section; *id is what tells what it is, at id_at. */
static bool open_entry(const FrameSource *source, uint64_t offset, DwarfCursor *c, uint64_t *id,
                       uint64_t *id_at, uint64_t *next)
{
    const DwarfSection *section = dwarf_section(source->dwarf, source->kind);
    DwarfCursor all = dwarf_section_cursor(source->dwarf, source->kind, offset);
    uint8_t offset_size;
    uint64_t length = dwarf_initial_length(&all, &offset_size);
    const uint8_t *bytes = dwarf_take(&all, length);

    if (!bytes || !length) {
        return false;
    }
    *c = dwarf_cursor(bytes, length);
    *id_at = (uint64_t)(bytes - section->bytes);
    *next = *id_at + length;
    *id = dwarf_number(c, source->eh ? 4 : offset_size);
    /* In 64-bit form too, the mark of a common entry is all ones. */
    if (!source->eh && offset_size == 4 && *id == UINT32_MAX) {
        *id = UINT64_MAX;
    }
    return !c->wrong;
}

static bool read_common(const FrameSource *source, uint64_t offset, FrameCommon *common)
{
    uint64_t id, id_at, next;
    const char *letters;
    unsigned version;
    DwarfCursor c;

    if (!open_entry(source, offset, &c, &id, &id_at, &next) ||
        id != (source->eh ? 0 : UINT64_MAX)) {
        return false;
    }
    *common = (FrameCommon){ .address_size = source->dwarf->elf.wide ? 8 : 4 };
    version = dwarf_u8(&c);
    letters = dwarf_string(&c);
    if (version >= 4) {
        common->address_size = dwarf_u8(&c);
        dwarf_u8(&c); /* bytes of a segment */
    }
    common->code_align = dwarf_uleb(&c);
    common->data_align = dwarf_sleb(&c);
    common->return_register = version == 1 ? dwarf_u8(&c) : dwarf_uleb(&c);
    if (*letters == 'z') {
        read_augmentation(source, &c, letters, common);
    } else if (*letters) {
        return false;
    }
    common->instructions = c;
    return !c.wrong && common->return_register < DWARF_REGISTERS &&
           (common->address_size == 8 || common->address_size == 4);
}

/* Where the common entry of an entry is. */
static uint64_t common_offset(const FrameSource *source, uint64_t id, uint64_t id_at)
{
    return source->eh ? id_at - id : id;
}

static void index_section(DwarfFile *dwarf, DwarfSectionKind kind, GArray *entries)
{
    FrameSource source = { dwarf, kind, kind == DWARF_EH_FRAME };
    uint64_t offset = 0, id, id_at, next, last = UINT64_MAX;
    FrameCommon common;
    bool good = false;
    DwarfCursor c;

    while (entries->len < FRAMES_MAX && open_entry(&source, offset, &c, &id, &id_at, &next)) {
        FrameEntry entry = { .offset = offset, .eh = source.eh };

        offset = next;
        if (id == (source.eh ? 0 : UINT64_MAX)) {
            continue;
        }
        if (common_offset(&source, id, id_at) != last) {
            last = common_offset(&source, id, id_at);
            good = read_common(&source, last, &common);
        }
        if (!good) {
            continue;
        }
        entry.start = encoded(&source, &c, common.encoding, common.address_size);
        entry.end = entry.start + encoded(&source, &c, common.encoding & 15, common.address_size);
        if (!c.wrong && entry.start < entry.end) {
            g_array_append_val(entries, entry);
        }
    }
}

static int compare_entries(const void *a, const void *b)
{
    const FrameEntry *x = a, *y = b;

    return (x->start > y->start) - (x->start < y->start);
}

void dwarf_frames_free(DwarfFrames *frames)
{
    g_array_unref(frames->entries);
    g_free(frames);
}

static const FrameEntry *find_entry(DwarfFile *dwarf, uint64_t address)
{
    const GArray *entries;
    guint low = 0, high;

    if (!dwarf->frames) {
        dwarf->frames = g_new0(DwarfFrames, 1);
        dwarf->frames->entries = g_array_new(FALSE, FALSE, sizeof(FrameEntry));
        index_section(dwarf, DWARF_FRAME, dwarf->frames->entries);
        index_section(dwarf, DWARF_EH_FRAME, dwarf->frames->entries);
        g_array_sort(dwarf->frames->entries, compare_entries);
    }
    entries = dwarf->frames->entries;
    high = entries->len;
    while (low < high) {
        guint middle = low + (high - low) / 2;

        if (g_array_index(entries, FrameEntry, middle).start <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (unsigned i = 0; low && i < 4; i++, low--) {
        const FrameEntry *entry = &g_array_index(entries, FrameEntry, low - 1);

        if (address < entry->end) {
            return entry;
        }
    }
    return NULL;
}

/* --- rules ------------------------------------------------------------------------------------- */

typedef enum {
    RULE_DEFAULT,
    RULE_UNDEFINED,
    RULE_SAME,
    RULE_OFFSET, /* saved at CFA + value */
    RULE_VALUE,  /* is CFA + value */
    RULE_REGISTER,
    RULE_EXPRESSION, /* saved at what the expression says */
    RULE_VALUE_EXPRESSION,
} RuleKind;

typedef struct {
    RuleKind kind;
    int64_t value;
    const uint8_t *expression;
    uint64_t size;
} FrameRule;

typedef struct {
    FrameRule cfa; /* RULE_OFFSET: of register `cfa_register`; RULE_EXPRESSION */
    uint64_t cfa_register;
    FrameRule registers[DWARF_REGISTERS];
} FrameState;

typedef struct {
    const FrameSource *source;
    const FrameCommon *common;
    FrameState state, saved[STATES_MAX];
    const FrameState *initial; /* NULL: these are what is run now */
    unsigned saved_count;
    uint64_t location, address;
} FrameProgram;

static void set_rule(FrameProgram *p, uint64_t number, RuleKind kind, int64_t value)
{
    if (number < DWARF_REGISTERS) {
        p->state.registers[number] = (FrameRule){ kind, value };
    }
}

static void set_expression(FrameProgram *p, DwarfCursor *c, FrameRule *rule, RuleKind kind)
{
    uint64_t size = dwarf_uleb(c);
    const uint8_t *bytes = dwarf_take(c, size);
    FrameRule none;

    rule = rule ? rule : &none;
    *rule = (FrameRule){ kind, 0, bytes, bytes ? size : 0 };
}

static FrameRule *rule_of(FrameProgram *p, uint64_t number)
{
    return number < DWARF_REGISTERS ? &p->state.registers[number] : NULL;
}

static void restore(FrameProgram *p, uint64_t number)
{
    if (number < DWARF_REGISTERS && p->initial) {
        p->state.registers[number] = p->initial->registers[number];
    }
}

static int64_t scaled(const FrameProgram *p, uint64_t value)
{
    return (int64_t)(value * (uint64_t)p->common->data_align);
}

static void set_cfa(FrameProgram *p, uint64_t number, int64_t offset)
{
    p->state.cfa_register = number;
    p->state.cfa = (FrameRule){ RULE_OFFSET, offset };
}

/* The instructions without an operand in their own byte. */
static bool run_long(FrameProgram *p, DwarfCursor *c, unsigned opcode)
{
    uint64_t number;

    switch (opcode) {
    case 0x00: /* nop */
    case 0x2d: /* AArch64: the return address is signed, or not any more */
        break;
    case 0x01: /* set_loc */
        p->location = encoded(p->source, c, p->common->encoding, p->common->address_size);
        break;
    case 0x02: /* advance_loc1, 2, 4 */
    case 0x03:
    case 0x04:
        p->location += dwarf_number(c, 1u << (opcode - 2)) * p->common->code_align;
        break;
    case 0x05: /* offset_extended */
        number = dwarf_uleb(c);
        set_rule(p, number, RULE_OFFSET, scaled(p, dwarf_uleb(c)));
        break;
    case 0x06: /* restore_extended */
        restore(p, dwarf_uleb(c));
        break;
    case 0x07: /* undefined */
        set_rule(p, dwarf_uleb(c), RULE_UNDEFINED, 0);
        break;
    case 0x08: /* same_value */
        set_rule(p, dwarf_uleb(c), RULE_SAME, 0);
        break;
    case 0x09: /* register */
        number = dwarf_uleb(c);
        set_rule(p, number, RULE_REGISTER, (int64_t)dwarf_uleb(c));
        break;
    case 0x0a: /* remember_state */
        if (p->saved_count == STATES_MAX) {
            return false;
        }
        p->saved[p->saved_count++] = p->state;
        break;
    case 0x0b: /* restore_state */
        if (!p->saved_count) {
            return false;
        }
        p->state = p->saved[--p->saved_count];
        break;
    case 0x0c: /* def_cfa */
        number = dwarf_uleb(c);
        set_cfa(p, number, (int64_t)dwarf_uleb(c));
        break;
    case 0x0d: /* def_cfa_register */
        p->state.cfa_register = dwarf_uleb(c);
        break;
    case 0x0e: /* def_cfa_offset */
        p->state.cfa.value = (int64_t)dwarf_uleb(c);
        break;
    case 0x0f: /* def_cfa_expression */
        set_expression(p, c, &p->state.cfa, RULE_EXPRESSION);
        break;
    case 0x10: /* expression */
    case 0x16: /* val_expression */
        number = dwarf_uleb(c);
        set_expression(p, c, rule_of(p, number),
                       opcode == 0x10 ? RULE_EXPRESSION : RULE_VALUE_EXPRESSION);
        break;
    case 0x11: /* offset_extended_sf */
        number = dwarf_uleb(c);
        set_rule(p, number, RULE_OFFSET, scaled(p, (uint64_t)dwarf_sleb(c)));
        break;
    case 0x12: /* def_cfa_sf */
        number = dwarf_uleb(c);
        set_cfa(p, number, scaled(p, (uint64_t)dwarf_sleb(c)));
        break;
    case 0x13: /* def_cfa_offset_sf */
        p->state.cfa.value = scaled(p, (uint64_t)dwarf_sleb(c));
        break;
    case 0x14: /* val_offset */
        number = dwarf_uleb(c);
        set_rule(p, number, RULE_VALUE, scaled(p, dwarf_uleb(c)));
        break;
    case 0x15: /* val_offset_sf */
        number = dwarf_uleb(c);
        set_rule(p, number, RULE_VALUE, scaled(p, (uint64_t)dwarf_sleb(c)));
        break;
    case 0x2e: /* GNU_args_size */
        dwarf_uleb(c);
        break;
    default:
        return false;
    }
    return true;
}

/* Up to the row of the address. */
static bool run(FrameProgram *p, DwarfCursor c)
{
    for (unsigned i = 0; dwarf_left(&c) && p->location <= p->address; i++) {
        unsigned opcode = dwarf_u8(&c), low = opcode & 0x3f;

        if (i == INSTRUCTIONS_MAX) {
            return false;
        }
        switch (opcode >> 6) {
        case 1:
            p->location += low * p->common->code_align;
            break;
        case 2:
            set_rule(p, low, RULE_OFFSET, scaled(p, dwarf_uleb(&c)));
            break;
        case 3:
            restore(p, low);
            break;
        default:
            if (!run_long(p, &c, opcode)) {
                return false;
            }
        }
    }
    return !c.wrong;
}

/* --- unwinding --------------------------------------------------------------------------------- */

/* Registers that a function leaves as they were, where nothing is said of them. */
static bool is_preserved(unsigned machine, unsigned number)
{
    switch (machine) {
    case EM_X86_64:
        return number == 3 || number == 6 || (number >= 12 && number <= 15);
    case EM_386:
        return number == 3 || (number >= 5 && number <= 7);
    case EM_AARCH64:
        return (number >= 19 && number <= 30);
    case EM_ARM:
        return (number >= 4 && number <= 11) || number == 14;
    }
    return false;
}

static int stack_register(unsigned machine)
{
    return machine == EM_X86_64 ? 7 : machine == EM_386 ? 4 : machine == EM_AARCH64 ? 31 : 13;
}

static bool apply(const FrameProgram *p, DwarfFrame *frame, unsigned number, DwarfRegisters *to)
{
    const FrameRule *rule = &p->state.registers[number];
    const DwarfRegisters *from = &frame->registers;
    uint64_t value = frame->cfa + (uint64_t)rule->value;
    RuleKind kind = rule->kind;

    if (kind == RULE_DEFAULT) {
        kind = is_preserved(p->source->dwarf->elf.machine, number) ? RULE_SAME : RULE_UNDEFINED;
    }
    switch (kind) {
    case RULE_SAME:
        to->known[number] = from->known[number];
        to->value[number] = from->value[number];
        return true;
    case RULE_REGISTER:
        if ((uint64_t)rule->value < DWARF_REGISTERS) {
            to->known[number] = from->known[rule->value];
            to->value[number] = from->value[rule->value];
        }
        return true;
    case RULE_EXPRESSION:
    case RULE_VALUE_EXPRESSION:
        if (!dwarf_evaluate_number(frame, rule->expression, rule->size, &frame->cfa, &value)) {
            return false;
        }
        break;
    case RULE_OFFSET:
    case RULE_VALUE:
        break;
    default:
        return true;
    }
    if (kind == RULE_OFFSET || kind == RULE_EXPRESSION) {
        uint64_t at = value;

        value = 0;
        if (!frame->read(frame->opaque, at, &value, p->common->address_size)) {
            return false;
        }
    }
    to->known[number] = true;
    to->value[number] = value;
    return true;
}

static bool find_cfa(const FrameProgram *p, DwarfFrame *frame)
{
    uint64_t number = p->state.cfa_register;

    if (p->state.cfa.kind == RULE_EXPRESSION) {
        return dwarf_evaluate_number(frame, p->state.cfa.expression, p->state.cfa.size, NULL,
                                     &frame->cfa);
    }
    if (p->state.cfa.kind != RULE_OFFSET || number >= DWARF_REGISTERS ||
        !frame->registers.known[number]) {
        return false;
    }
    frame->cfa = frame->registers.value[number] + (uint64_t)p->state.cfa.value;
    return true;
}

/* The rules at the frame's address, in *p. */
static bool find_rules(DwarfFile *dwarf, uint64_t address, FrameSource *source, FrameCommon *common,
                       FrameProgram *p)
{
    const FrameEntry *entry = find_entry(dwarf, address);
    uint64_t id, id_at, next;
    FrameState initial;
    DwarfCursor c;

    if (!entry) {
        return false;
    }
    *source = (FrameSource){ dwarf, entry->eh ? DWARF_EH_FRAME : DWARF_FRAME, entry->eh };
    if (!open_entry(source, entry->offset, &c, &id, &id_at, &next) ||
        !read_common(source, common_offset(source, id, id_at), common)) {
        return false;
    }
    encoded(source, &c, common->encoding, common->address_size);
    encoded(source, &c, common->encoding & 15, common->address_size);
    if (common->augmented) {
        dwarf_take(&c, dwarf_uleb(&c));
    }
    p->source = source;
    p->common = common;
    p->location = 0;
    p->address = UINT64_MAX;
    if (!run(p, common->instructions)) {
        return false;
    }
    initial = p->state;
    p->initial = &initial;
    p->location = entry->start;
    p->address = address;
    return run(p, c);
}

bool dwarf_frame_cfa(DwarfFile *dwarf, uint64_t address, DwarfFrame *frame)
{
    g_autofree FrameProgram *p = g_new0(FrameProgram, 1);
    FrameSource source;
    FrameCommon common;

    frame->has_cfa = find_rules(dwarf, address, &source, &common, p) && find_cfa(p, frame);
    return frame->has_cfa;
}

DwarfUnwind dwarf_unwind(DwarfFile *dwarf, uint64_t address, DwarfFrame *frame,
                         DwarfRegisters *caller, uint64_t *pc, bool *interrupted)
{
    g_autofree FrameProgram *p = g_new0(FrameProgram, 1);
    unsigned stack = (unsigned)stack_register(dwarf->elf.machine);
    FrameSource source;
    FrameCommon common;

    *caller = (DwarfRegisters){ 0 };
    if (!find_rules(dwarf, address, &source, &common, p) || !find_cfa(p, frame)) {
        return UNWIND_UNKNOWN;
    }
    frame->has_cfa = true;
    if (p->state.registers[common.return_register].kind == RULE_UNDEFINED) {
        return UNWIND_END;
    }
    for (unsigned i = 0; i < DWARF_REGISTERS; i++) {
        if (!apply(p, frame, i, caller)) {
            return UNWIND_UNKNOWN;
        }
    }
    if (p->state.registers[stack].kind == RULE_DEFAULT) {
        caller->known[stack] = true;
        caller->value[stack] = frame->cfa;
    }
    *pc = caller->value[common.return_register];
    *interrupted = common.signal;
    return caller->known[common.return_register] ? UNWIND_STEP : UNWIND_UNKNOWN;
}

unsigned dwarf_machine(const DwarfFile *dwarf)
{
    return dwarf->elf.machine;
}

const char *const *dwarf_register_names(unsigned elf_machine)
{
    static const char *const x86_64[] = { "rax", "rdx", "rcx", "rbx", "rsi", "rdi",
                                          "rbp", "rsp", "r8",  "r9",  "r10", "r11",
                                          "r12", "r13", "r14", "r15", NULL };
    static const char *const i386[] = {
        "eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", NULL
    };
    static const char *const aarch64[] = { "x0",  "x1",  "x2",  "x3",  "x4",  "x5",  "x6",
                                           "x7",  "x8",  "x9",  "x10", "x11", "x12", "x13",
                                           "x14", "x15", "x16", "x17", "x18", "x19", "x20",
                                           "x21", "x22", "x23", "x24", "x25", "x26", "x27",
                                           "x28", "x29", "x30", "sp",  NULL };

    switch (elf_machine) {
    case EM_X86_64:
        return x86_64;
    case EM_386:
        return i386;
    case EM_AARCH64:
        return aarch64;
    }
    return NULL;
}
