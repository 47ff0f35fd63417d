/* SPDX-License-Identifier: MIT */
/*
 * Saving and loading a machine's state. The form: magic, virtual time (8 bytes), then a section for each device, parents
 * first: path, type (each a length of 2 bytes and the text), version (2 bytes), length (4 bytes), content. A
 * content is a row of blocks, each with a length of 4 bytes: the type's table, the levels of the output lines, and
 * for a CPU what every CPU has and the target's registers. A section of the path "accelerator" has its table, and one for each CPU; of the path "bound", in words,
 * what no other accelerator can take.
 */
#include "machine/saved-state.h"

#include <string.h>

#include "base/error.h"
#include "machine/accelerator.h"
#include "machine/private.h"
#include "machine/state.h"

static const uint8_t magic[8] = "KASOSTA1";

/* Reading, with an end that holds. */
typedef struct {
    const uint8_t *data;
    size_t size;
    bool failed; /* something was cut short; what was asked for since reads as nothing */
} Reader;

static const uint8_t *read_bytes(Reader *reader, size_t size)
{
    const uint8_t *at = reader->data;

    if (reader->failed || size > reader->size) {
        reader->failed = true;
        return NULL;
    }
    reader->data += size;
    reader->size -= size;
    return at;
}

static uint64_t read_number(Reader *reader, unsigned size)
{
    const uint8_t *at = read_bytes(reader, size);
    uint8_t bytes[8] = { 0 };

    if (at) {
        memcpy(bytes, at, size);
    }
    return load_le64(bytes);
}

static Reader read_block(Reader *reader)
{
    size_t size = read_number(reader, 4);
    const uint8_t *at = read_bytes(reader, size);

    return at ? (Reader){ at, size, false } : (Reader){ .failed = true };
}

static char *read_text(Reader *reader)
{
    size_t size = read_number(reader, 2);
    const uint8_t *at = read_bytes(reader, size);

    return g_strndup(at ? (const char *)at : "", at ? size : 0);
}

static void put_number(GByteArray *out, uint64_t value, unsigned size)
{
    uint8_t bytes[8];

    store_le64(bytes, value);
    g_byte_array_append(out, bytes, size);
}

static void put_text(GByteArray *out, const char *text)
{
    put_number(out, strlen(text), 2);
    g_byte_array_append(out, (const uint8_t *)text, strlen(text));
}

/* Leaves room for a length and returns where; end_block fills it in. */
static unsigned begin_block(GByteArray *out)
{
    put_number(out, 0, 4);
    return out->len;
}

static void end_block(GByteArray *out, unsigned start)
{
    store_le32(out->data + start - 4, out->len - start);
}

/* What every CPU has. Lines are levels that their sources keep, too, but the CPU may be halted on them. */
static uint64_t get_interrupts(const void *instance)
{
    return atomic_load(&((const Vcpu *)instance)->interrupts);
}

static void set_interrupts(void *instance, uint64_t value)
{
    atomic_store(&((Vcpu *)instance)->interrupts, value);
}

static uint64_t get_powered(const void *instance)
{
    return atomic_load(&((const Vcpu *)instance)->powered);
}

static void set_powered(void *instance, uint64_t value)
{
    atomic_store(&((Vcpu *)instance)->powered, value != 0);
}

static uint64_t get_halted(const void *instance)
{
    return atomic_load(&((const Vcpu *)instance)->halted);
}

static void set_halted(void *instance, uint64_t value)
{
    atomic_store(&((Vcpu *)instance)->halted, value != 0);
}

static uint64_t get_secure(const void *instance)
{
    return ((const Vcpu *)instance)->secure;
}

static void set_secure(void *instance, uint64_t value)
{
    vcpu_set_secure(instance, value != 0);
}

static const StateField event_fields[] = { STATE_MOST(VcpuEvent, kind, 31),
                                           STATE(VcpuEvent, data),
                                           { 0 } };

static const StateField vcpu_fields[] = {
    STATE_VALUE("interrupts", get_interrupts, set_interrupts),
    STATE_VALUE("powered", get_powered, set_powered),
    STATE_VALUE("halted", get_halted, set_halted),
    STATE_VALUE("secure", get_secure, set_secure),
    STATE(Vcpu, halt_deadline_ns),
    STATE_MOST(Vcpu, event_count, VCPU_EVENTS_MAX),
    STATE_STRUCTS(Vcpu, event_queue, event_fields),
    { 0 },
};

static bool is_vcpu(const Device *device)
{
    return device->type == &device->machine->private->cpu_type;
}

static void save_registers(Vcpu *vcpu, GByteArray *out)
{
    for (const TargetRegister *reg = vcpu->target->registers; reg && reg->name; reg++) {
        uint8_t value[TARGET_REGISTER_BYTES_MAX];

        if (target_register_is_saved(reg)) {
            target_register_read(vcpu, reg, value);
            put_text(out, reg->name);
            put_number(out, target_register_bytes(reg), 2);
            g_byte_array_append(out, value, target_register_bytes(reg));
        }
    }
}

/* only_check, from here on: whether it could be loaded is looked at, and nothing changes. */
static bool load_registers(Vcpu *vcpu, Reader reader, bool only_check, GError **error)
{
    while (reader.size) {
        g_autofree char *name = read_text(&reader);
        size_t size = read_number(&reader, 2);
        const uint8_t *value = read_bytes(&reader, size);
        const TargetRegister *reg = target_register_find(vcpu->target, name);

        if (!value || !reg || !target_register_is_saved(reg) ||
            target_register_bytes(reg) != size) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "the saved state of %s has the register '%s' of %zu bytes, which "
                              "%s has not",
                              vcpu->device.id, name, size, vcpu->target->name);
        }
        if (!only_check) {
            target_register_write(vcpu, reg, value);
        }
    }
    return true;
}

void device_save_state(Device *device, GByteArray *out)
{
    unsigned block;

    if (device->type->state_saving) {
        device->type->state_saving(device);
    }
    if (is_vcpu(device)) {
        vcpu_sync(container_of(device, Vcpu, device), VCPU_SYNC_FROM_ACCELERATOR);
    }
    block = begin_block(out);
    state_save(device->type->state, device, out);
    end_block(out, block);
    block = begin_block(out);
    for (unsigned i = 0; i < device->irq_count; i++) {
        put_number(out, (uint32_t)device->irqs[i]->level, 4);
    }
    end_block(out, block);
    if (is_vcpu(device)) {
        Vcpu *vcpu = container_of(device, Vcpu, device);

        block = begin_block(out);
        state_save(vcpu_fields, vcpu, out);
        end_block(out, block);
        block = begin_block(out);
        save_registers(vcpu, out);
        end_block(out, block);
    }
}

static bool load_lines(Device *device, Reader *reader, bool only_check, GError **error)
{
    if (reader->size != 4 * (size_t)device->irq_count) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "the saved state of %s is of a device with another number of lines",
                          device->id);
    }
    for (unsigned i = 0; !only_check && i < device->irq_count; i++) {
        device->irqs[i]->level = (int)read_number(reader, 4);
    }
    return true;
}

static bool load_vcpu(Vcpu *vcpu, Reader *reader, bool only_check, GError **error)
{
    Reader fields = read_block(reader), registers = read_block(reader);

    return (only_check
                ? state_fits(vcpu_fields, vcpu, vcpu->device.id, 0, fields.data, fields.size, error)
                : state_load(vcpu_fields, vcpu, vcpu->device.id, 0, fields.data, fields.size,
                             error)) &&
           load_registers(vcpu, registers, only_check, error);
}

static bool load_table(Device *device, unsigned version, const Reader *fields, bool only_check,
                       GError **error)
{
    const DeviceType *type = device->type;

    return only_check ? state_fits(type->state, device, device->id, version, fields->data,
                                   fields->size, error)
                      : state_load(type->state, device, device->id, version, fields->data,
                                   fields->size, error);
}

/* The fields alone: hooks may look at other devices, so they wait until all are loaded. */
static bool load_fields(Device *device, unsigned version, Reader reader, bool only_check,
                        GError **error)
{
    Reader fields = read_block(&reader), lines = read_block(&reader);

    if (version > device->type->state_version) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "the saved state of %s is of version %u, and this program knows %u",
                          device->id, version, device->type->state_version);
    }
    if (!load_table(device, version, &fields, only_check, error) ||
        !load_lines(device, &lines, only_check, error)) {
        return false;
    }
    if (is_vcpu(device) &&
        !load_vcpu(container_of(device, Vcpu, device), &reader, only_check, error)) {
        return false;
    }
    if (fields.failed || lines.failed || reader.failed) {
        return error_fail(error, KASO_ERROR_INVALID, "the saved state of %s is cut short",
                          device->id);
    }
    return only_check || !device->type->state_check || device->type->state_check(device, error);
}

static void after_load(Device *device)
{
    if (is_vcpu(device)) {
        Vcpu *vcpu = container_of(device, Vcpu, device);

        vcpu_events_loaded(vcpu);
        if (vcpu->target->state_loaded) {
            vcpu->target->state_loaded(vcpu);
        }
        vcpu_sync(vcpu, VCPU_SYNC_LOADED);
    } else if (device->type->state_loaded) {
        device->type->state_loaded(device);
    }
}

bool device_load_state(Device *device, unsigned version, const uint8_t *data, size_t size,
                       GError **error)
{
    if (!load_fields(device, version, (Reader){ data, size, false }, false, error)) {
        return false;
    }
    after_load(device);
    return true;
}

/* The root is the board: its state is its devices'. */
static void save_section(Device *device, void *opaque)
{
    GByteArray *out = opaque;
    g_autofree char *path = device_path(device);
    unsigned block;

    put_text(out, path);
    put_text(out, device->type->name);
    put_number(out, device->type->state_version, 2);
    block = begin_block(out);
    device_save_state(device, out);
    end_block(out, block);
}

#define ACCELERATOR_PATH "accelerator"

static void save_table(const StateField *fields, const void *instance, GByteArray *out)
{
    unsigned block = begin_block(out);

    state_save(fields, instance, out);
    end_block(out, block);
}

static void save_accelerator(Machine *machine, GByteArray *out)
{
    const Accelerator *accelerator = machine->accelerator;
    unsigned block;

    if (!accelerator || !accelerator->state) {
        return;
    }
    accelerator->state_saving(machine);
    put_text(out, ACCELERATOR_PATH);
    put_text(out, accelerator->name);
    put_number(out, 0, 2);
    block = begin_block(out);
    save_table(accelerator->state, machine->accel_state, out);
    for (unsigned i = 0; i < machine->vcpus->len; i++) {
        save_table(accelerator->vcpu_state, ((Vcpu *)machine->vcpus->pdata[i])->accel, out);
    }
    end_block(out, block);
}

/* One more of the machine's of a kind. */
static void attach_one(Machine *machine, const char *kind, const void *one, guint size)
{
    if (!machine_attached(machine, kind)) {
        machine_attach(machine, kind, g_array_new(false, false, size),
                       (GDestroyNotify)g_array_unref);
    }
    g_array_append_vals(machine_attached(machine, kind), one, 1);
}

/* --- what no other accelerator can take --- */

#define BOUND      "machine/saved-state.h bound"
#define BOUND_PATH "bound"

typedef struct {
    const char *what;
    BoundState *there;
} Bound;

void machine_save_bound(Machine *machine, const char *what, BoundState *there)
{
    Bound bound = { what, there };

    attach_one(machine, BOUND, &bound, sizeof bound);
}

static void save_bound(Machine *machine, GByteArray *out)
{
    const GArray *all = machine_attached(machine, BOUND);

    for (guint i = 0; all && machine->accelerator && i < all->len; i++) {
        const Bound *bound = &g_array_index(all, Bound, i);
        unsigned block;

        if (bound->there(machine)) {
            put_text(out, BOUND_PATH);
            put_text(out, machine->accelerator->name);
            put_number(out, 0, 2);
            block = begin_block(out);
            put_text(out, bound->what);
            end_block(out, block);
        }
    }
}

static bool check_bound(const Machine *machine, const char *accelerator, Reader content,
                        GError **error)
{
    g_autofree char *what = read_text(&content);
    const char *here = machine->accelerator ? machine->accelerator->name : "none";

    return strcmp(here, accelerator) == 0 ||
           error_fail(
               error, KASO_ERROR_UNSUPPORTED,
               "the saved machine has %s, which -accel %s cannot take from -accel %s: load it "
               "with -accel %s, or end that before it is saved",
               what, here, accelerator, accelerator);
}

/* --- parts that are no device's --- */

#define PARTS     "machine/saved-state.h parts"
#define PART_TYPE "part"

typedef struct {
    const SavedPart *part;
    void *instance;
} AttachedPart;

void machine_save_part(Machine *machine, const SavedPart *part, void *instance)
{
    AttachedPart attached = { part, instance };

    attach_one(machine, PARTS, &attached, sizeof attached);
}

/* The next one after `previous`, or the first of NULL; NULL: there is none. */
static const AttachedPart *next_part(Machine *machine, const AttachedPart *previous)
{
    const GArray *parts = machine_attached(machine, PARTS);
    const AttachedPart *first = parts ? (const AttachedPart *)parts->data : NULL;
    const AttachedPart *next = previous ? previous + 1 : first;

    return first && next < first + parts->len ? next : NULL;
}

static void save_parts(Machine *machine, GByteArray *out)
{
    for (const AttachedPart *p = NULL; (p = next_part(machine, p));) {
        put_text(out, p->part->name);
        put_text(out, PART_TYPE);
        put_number(out, 0, 2);
        save_table(p->part->fields, p->instance, out);
    }
}

static bool load_part(Machine *machine, const char *name, unsigned version, const Reader *content,
                      bool only_check, GError **error)
{
    for (const AttachedPart *p = NULL; (p = next_part(machine, p));) {
        if (strcmp(p->part->name, name) == 0) {
            return only_check ? state_fits(p->part->fields, p->instance, name, version,
                                           content->data, content->size, error)
                              : state_load(p->part->fields, p->instance, name, version,
                                           content->data, content->size, error);
        }
    }
    return error_fail(error, KASO_ERROR_INVALID,
                      "the saved state is of a machine with %s; give the same options as then",
                      name);
}

static void finish_parts(Machine *machine)
{
    for (const AttachedPart *p = NULL; (p = next_part(machine, p));) {
        if (p->part->loaded) {
            p->part->loaded(p->instance);
        }
    }
}

GByteArray *machine_save_state(Machine *machine)
{
    GByteArray *out = g_byte_array_new();

    g_byte_array_append(out, magic, sizeof magic);
    put_number(out, (uint64_t)clock_now_ns(machine), 8);
    device_foreach(machine->root, save_section, out);
    save_accelerator(machine, out);
    save_bound(machine, out);
    save_parts(machine, out);
    return out;
}

static bool load_accelerator_table(const StateField *fields, void *instance, unsigned version,
                                   Reader *reader, bool only_check, GError **error)
{
    const char *who = "the accelerator";
    Reader block = read_block(reader);

    if (reader->failed) {
        return error_fail(error, KASO_ERROR_INVALID, "the saved state of %s is cut short", who);
    }
    return only_check ? state_fits(fields, instance, who, version, block.data, block.size, error)
                      : state_load(fields, instance, who, version, block.data, block.size, error);
}

/* What another accelerator wrote has no place here. */
static bool load_accelerator(Machine *machine, const char *type, unsigned version, Reader reader,
                             bool only_check, GError **error)
{
    const Accelerator *accelerator = machine->accelerator;

    if (!accelerator || !accelerator->state || strcmp(accelerator->name, type) != 0) {
        return true;
    }
    if (!load_accelerator_table(accelerator->state, machine->accel_state, version, &reader,
                                only_check, error)) {
        return false;
    }
    for (unsigned i = 0; i < machine->vcpus->len; i++) {
        if (!load_accelerator_table(accelerator->vcpu_state,
                                    ((Vcpu *)machine->vcpus->pdata[i])->accel, version, &reader,
                                    only_check, error)) {
            return false;
        }
    }
    return true;
}

static bool load_section(Machine *machine, Reader *reader, GHashTable *loaded, bool only_check,
                         GError **error)
{
    g_autofree char *path = read_text(reader), *type = read_text(reader);
    unsigned version = read_number(reader, 2);
    Reader content = read_block(reader);
    Device *device;

    if (reader->failed) {
        return error_fail(error, KASO_ERROR_INVALID, "the saved state is cut short");
    }
    if (strcmp(path, ACCELERATOR_PATH) == 0) {
        return load_accelerator(machine, type, version, content, only_check, error);
    }
    if (strcmp(path, BOUND_PATH) == 0) {
        return check_bound(machine, type, content, error);
    }
    if (strcmp(type, PART_TYPE) == 0) {
        return load_part(machine, path, version, &content, only_check, error);
    }
    device = path[0] == '/' ? device_find(machine, path) : NULL;
    if (!device || strcmp(device->type->name, type) != 0) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "the saved state is of a machine with the device '%s' at %s; give the "
                          "same options as then",
                          type, path);
    }
    if (!g_hash_table_add(loaded, device)) {
        return error_fail(error, KASO_ERROR_INVALID, "the saved state has %s twice", path);
    }
    return load_fields(device, version, content, only_check, error);
}

typedef struct {
    GHashTable *loaded;
    const Device *missing;
} Completeness;

static void check_loaded(Device *device, void *opaque)
{
    Completeness *completeness = opaque;

    if (!g_hash_table_contains(completeness->loaded, device)) {
        completeness->missing = device;
    }
}

static void finish(Device *device, void *opaque)
{
    after_load(device);
}

static bool load_all(Machine *machine, Reader reader, bool only_check, GError **error)
{
    g_autoptr(GHashTable) loaded = g_hash_table_new(NULL, NULL);
    Completeness completeness = { loaded, NULL };
    const uint8_t *start = read_bytes(&reader, sizeof magic);
    int64_t now_ns = (int64_t)read_number(&reader, 8);

    if (!start || memcmp(start, magic, sizeof magic) != 0 || now_ns < 0 || now_ns > INT64_MAX / 4) {
        return error_fail(error, KASO_ERROR_INVALID, "this is no saved state of a machine");
    }
    if (!only_check) {
        clock_set_ns(machine, now_ns);
    }
    while (reader.size) {
        if (!load_section(machine, &reader, loaded, only_check, error)) {
            return false;
        }
    }
    device_foreach(machine->root, check_loaded, &completeness);
    return !completeness.missing ||
           error_fail(error, KASO_ERROR_INVALID,
                      "the saved state is of a machine without the device '%s'; give the same "
                      "options as then",
                      completeness.missing->id);
}

bool machine_state_fits(Machine *machine, const uint8_t *data, size_t size, GError **error)
{
    return load_all(machine, (Reader){ data, size, false }, true, error);
}

bool machine_load_state(Machine *machine, const uint8_t *data, size_t size, GError **error)
{
    if (!load_all(machine, (Reader){ data, size, false }, false, error)) {
        return false;
    }
    memory_transaction_begin(machine);
    device_foreach(machine->root, finish, NULL);
    finish_parts(machine);
    if (machine->accelerator && machine->accelerator->state) {
        machine->accelerator->state_loaded(machine);
    }
    memory_transaction_end(machine);
    return true;
}

/* What may be in the way. */

typedef struct {
    MaySave *fn;
    void *opaque;
} SaveQuestion;

static GArray *save_questions(Machine *machine)
{
    return machine_attached(machine, "machine/saved-state.h");
}

void machine_ask_before_save(Machine *machine, MaySave *fn, void *opaque)
{
    SaveQuestion question = { fn, opaque };

    if (!save_questions(machine)) {
        machine_attach(machine, "machine/saved-state.h",
                       g_array_new(false, false, sizeof(SaveQuestion)),
                       (GDestroyNotify)g_array_unref);
    }
    g_array_append_val(save_questions(machine), question);
}

void machine_forget_before_save(Machine *machine, const void *opaque)
{
    GArray *questions = save_questions(machine);

    for (guint i = questions ? questions->len : 0; i-- > 0;) {
        if (g_array_index(questions, SaveQuestion, i).opaque == opaque) {
            g_array_remove_index(questions, i);
        }
    }
}

bool machine_may_save(Machine *machine, GError **error)
{
    const GArray *questions = save_questions(machine);

    for (guint i = 0; questions && i < questions->len; i++) {
        const SaveQuestion *question = &g_array_index(questions, SaveQuestion, i);

        if (!question->fn(question->opaque, error)) {
            return false;
        }
    }
    return true;
}
