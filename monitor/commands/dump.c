/* SPDX-License-Identifier: MIT */
/* Commands that write the guest's memory and CPUs to a core file: dump-guest-memory and what goes with it. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/descriptors.h"
#include "debug/core-file.h"
#include "debug/memory.h"
#include "monitor/command.h"

#define ATTACHED "dump"

enum { INFO_FORMAT_ELF = 1, NOTE_BYTES_MAX = 1 << 20 };

static const char *const statuses[] = { "none", "active", "completed", "failed" };
typedef enum { DUMP_NONE, DUMP_ACTIVE, DUMP_COMPLETED, DUMP_FAILED } DumpStatus;

typedef struct {
    Machine *machine;
    DumpStatus status;
    uint64_t total, completed;
    CoreFile file; /* of the dump that is active */
} Dump;

static Dump *dump_of(Machine *machine)
{
    Dump *dump = machine_attached(machine, ATTACHED);

    if (!dump) {
        dump = g_new0(Dump, 1);
        dump->machine = machine;
        machine_attach(machine, ATTACHED, dump, g_free);
    }
    return dump;
}

static json_t *result_of(const Dump *dump)
{
    json_t *result = json_object();

    monitor_put(result, "status", json_string(statuses[dump->status]));
    monitor_put(result, "completed", json_integer((json_int_t)dump->completed));
    monitor_put(result, "total", json_integer((json_int_t)dump->total));
    return result;
}

/* The note that the guest's kernel has put where the vmcoreinfo device was told; NULL: none. Caller frees. */
static uint8_t *kernel_note(Machine *machine, size_t *size)
{
    const uint8_t *info = machine_get_data(machine, MACHINE_VMCOREINFO);
    uint8_t *note;

    if (!info) {
        return NULL;
    }
    *size = load_le32(info + 4);
    if (load_le16(info + 2) != INFO_FORMAT_ELF || !*size || *size > NOTE_BYTES_MAX || *size % 4) {
        return NULL;
    }
    note = g_malloc(*size);
    if (!debug_memory_read(machine, load_le64(info + 8), note, *size)) {
        g_clear_pointer(&note, g_free);
    }
    return note;
}

static bool write_dump(Dump *dump, GError **error)
{
    Machine *machine = dump->machine;
    CoreFile file = dump->file;
    g_autofree uint8_t *note = NULL;
    bool ok;

    machine_exclusive_begin(machine);
    note = kernel_note(machine, &file.kernel_note_size);
    file.kernel_note = note;
    ok = core_file_write(machine, &file, error);
    machine_exclusive_end(machine);
    if (close(file.fd) < 0 && ok) {
        ok = error_fail(error, KASO_ERROR_IO, "cannot write the dump to its end");
    }
    dump->status = ok ? DUMP_COMPLETED : DUMP_FAILED;
    dump->completed = ok ? dump->total : 0;
    return ok;
}

static void tell_completed(Dump *dump, const GError *failure)
{
    json_t *data = json_object();
    char *text;

    monitor_put(data, "result", result_of(dump));
    if (failure) {
        monitor_put(data, "error", monitor_string(failure->message));
    }
    text = json_dumps(data, JSON_COMPACT);
    machine_event(dump->machine, "DUMP_COMPLETED", text);
    free(text);
    json_decref(data);
}

static void write_detached(void *opaque)
{
    Dump *dump = opaque;
    g_autoptr(GError) failure = NULL;

    write_dump(dump, &failure);
    tell_completed(dump, failure);
}

static int open_target(const char *protocol, GError **error)
{
    int fd = -1;

    if (g_str_has_prefix(protocol, "fd:")) {
        return descriptors_take(protocol + strlen("fd:"), error);
    }
    if (!g_str_has_prefix(protocol, "file:")) {
        error_fail(error, KASO_ERROR_INVALID, "'%s': give file:PATH or fd:NAME", protocol);
        return -1;
    }
    protocol += strlen("file:");
    fd = descriptors_open(protocol, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0) {
        error_fail_errno(error, errno, "cannot write '%s'", protocol);
    }
    return fd;
}

static bool check_dump(Machine *machine, json_t *arguments, CoreFile *file, GError **error)
{
    const char *format = monitor_get_string(arguments, "format");
    int64_t begin = monitor_get_int(arguments, "begin", 0),
            length = monitor_get_int(arguments, "length", 0);

    if (!machine->config.target || !machine->config.target->core_machine) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED, "not yet: core files of %s",
                          machine->config.target ? machine->config.target->name : "no target");
    }
    if (format && strcmp(format, "elf") != 0) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "not yet: format '%s'; elf is what there is", format);
    }
    if (monitor_get_bool(arguments, "paging")) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "not yet: paging; the file is by physical addresses, which crash and "
                          "drgn want");
    }
    if (monitor_has(arguments, "begin") != monitor_has(arguments, "length")) {
        return error_fail(error, KASO_ERROR_INVALID, "begin and length go together");
    }
    if (begin < 0 || length < 0 || (monitor_has(arguments, "length") && length == 0)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "begin=%" PRId64 ",length=%" PRId64 " is no range of memory", begin,
                          length);
    }
    file->begin = (uint64_t)begin;
    file->length = (uint64_t)length;
    return core_file_size(machine, file) ||
           error_fail(error, KASO_ERROR_INVALID, "there is no RAM from %#" PRIx64 " on",
                      file->begin);
}

static json_t *dump_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    Dump *dump = dump_of(machine);
    CoreFile file = { 0 };

    if (dump->status == DUMP_ACTIVE) {
        error_fail(error, KASO_ERROR_GENERIC, "a dump is being written already");
        return NULL;
    }
    if (!check_dump(machine, arguments, &file, error)) {
        return NULL;
    }
    file.fd = open_target(monitor_get_string(arguments, "protocol"), error);
    if (file.fd < 0) {
        return NULL;
    }
    *dump = (Dump){ machine, DUMP_ACTIVE, core_file_size(machine, &file), 0, file };
    if (monitor_get_bool(arguments, "detach")) {
        machine_defer(machine, write_detached, dump);
    } else {
        write_dump(dump, error);
        tell_completed(dump, error ? *error : NULL);
    }
    return NULL;
}

static json_t *dump_hmp_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const char *path = monitor_get_string(arguments, "filename");
    g_autofree char *protocol = g_strconcat("file:", path, NULL);

    json_object_set_new(arguments, "protocol", monitor_string(protocol));
    return dump_run(monitor, arguments, error);
}

static const char *const formats[] = { "elf",
                                       "kdump-zlib",
                                       "kdump-lzo",
                                       "kdump-snappy",
                                       "kdump-raw-zlib",
                                       "kdump-raw-lzo",
                                       "kdump-raw-snappy",
                                       "win-dmp",
                                       NULL };

static const MonitorArgument dump_arguments[] = {
    { "paging", ARGUMENT_BOOL, .summary = "by virtual addresses; not yet" },
    { "protocol", ARGUMENT_STRING, .summary = "file:PATH, or fd:NAME of getfd" },
    { "detach", ARGUMENT_BOOL, true, "return at once; the event DUMP_COMPLETED tells of the end" },
    { "begin", ARGUMENT_INT, true, "first physical address" },
    { "length", ARGUMENT_INT, true, "how many bytes from there" },
    { "format", ARGUMENT_STRING, true, "elf", .values = formats },
    { NULL },
};

static const MonitorCommand dump_command = {
    .name = "dump-guest-memory",
    .summary = "writes the guest's memory and CPUs to a core file",
    .arguments = dump_arguments,
    .run = dump_run,
};
MONITOR_COMMAND(dump_command);

static const MonitorArgument dump_hmp_arguments[] = {
    { "paging", ARGUMENT_FLAG, true, "by virtual addresses; not yet", .letter = 'p' },
    { "detach", ARGUMENT_FLAG, true, "return at once", .letter = 'd' },
    { "filename", ARGUMENT_STRING, .summary = "file to write" },
    { "begin", ARGUMENT_INT, true, "first physical address" },
    { "length", ARGUMENT_INT, true, "how many bytes from there" },
    { NULL },
};

static const MonitorCommand dump_hmp_command = {
    .hmp = "dump-guest-memory",
    .summary = "writes the guest's memory and CPUs to a core file for crash, gdb or drgn",
    .arguments = dump_hmp_arguments,
    .run = dump_hmp_run,
};
MONITOR_COMMAND(dump_hmp_command);

static json_t *query_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return result_of(dump_of(monitor_machine(monitor)));
}

static void query_print(Monitor *monitor, json_t *result, GString *out)
{
    g_string_append_printf(out, "Status: %s\n", monitor_get_string(result, "status"));
    if (monitor_get_int(result, "total", 0)) {
        g_string_append_printf(out, "Written: %" PRId64 " of %" PRId64 " bytes of memory\n",
                               monitor_get_int(result, "completed", 0),
                               monitor_get_int(result, "total", 0));
    }
}

static const MonitorCommand query_command = {
    .name = "query-dump",
    .hmp = "info dump",
    .summary = "shows what became of the last dump",
    .run = query_run,
    .print = query_print,
    .returns = "DumpQueryResult",
};
MONITOR_COMMAND(query_command);

static json_t *capability_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const Target *target = monitor_machine(monitor)->config.target;
    json_t *result = json_object(), *list = json_array();

    if (target && target->core_machine) {
        json_array_append_new(list, json_string("elf"));
    }
    monitor_put(result, "formats", list);
    return result;
}

static const MonitorCommand capability_command = {
    .name = "query-dump-guest-memory-capability",
    .summary = "lists the formats of dumps",
    .run = capability_run,
    .returns = "DumpGuestMemoryCapability",
};
MONITOR_COMMAND(capability_command);
