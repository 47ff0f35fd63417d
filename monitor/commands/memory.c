/* SPDX-License-Identifier: MIT */
/* Commands that look into memory and ports: x, xp, i, o, gva2gpa, gpa2hva, memsave, pmemsave. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "debug/linux/linux.h"
#include "debug/symbols/symbols.h"
#include "monitor/command.h"
#include "monitor/disassemble.h"
#include "monitor/dump-format.h"

enum { SAVE_CHUNK = 65536, STRING_MAX = 1024 };

/* By the CPU's tables; the kernel's are others while a process runs, where they are kept apart. */
static bool translate(Vcpu *vcpu, uint64_t address, uint64_t *guest_phys)
{
    LinuxKernel *kernel = linux_kernel_known(vcpu->machine);

    return vcpu->target->translate_debug(vcpu, address, guest_phys) ||
           (kernel && address >> 63 && linux_translate(kernel, address, guest_phys));
}

/* Reads [address, address + size); returns how many bytes were there. */
static size_t read_memory(Machine *machine, Vcpu *vcpu, bool physical, uint64_t address,
                          uint8_t *buffer, size_t size)
{
    AddressSpace *space = vcpu ? vcpu->memory : &machine->memory_space;
    size_t done = 0;

    while (done < size) {
        uint64_t at = address + done, guest_phys = at;
        /* No page is smaller than 1 KiB. */
        size_t n = MIN(size - done, 1024 - (at & 1023));

        if (!physical && !translate(vcpu, at, &guest_phys)) {
            break;
        }
        if (address_space_read_bytes(space, guest_phys, buffer + done, n, MEMORY_ATTRIBUTES_DMA) !=
            MEMORY_OK) {
            break;
        }
        done += n;
    }
    return done;
}

static json_t *dump_values(Machine *machine, Vcpu *vcpu, bool physical, uint64_t address,
                           const DumpFormat *format, bool *truncated)
{
    json_t *values = json_array();
    uint8_t bytes[8] = { 0 };

    for (unsigned i = 0; i < format->count; i++) {
        if (read_memory(machine, vcpu, physical, address + (uint64_t)i * format->size, bytes,
                        format->size) < format->size) {
            *truncated = true;
            break;
        }
        json_array_append_new(values, json_integer(load_le64(bytes) & bits_mask(8 * format->size)));
    }
    return values;
}

typedef struct {
    Machine *machine;
    Vcpu *vcpu;
    bool physical;
} CodeSource;

static size_t read_code(void *opaque, uint64_t address, uint8_t *buffer, size_t size)
{
    const CodeSource *source = opaque;

    return read_memory(source->machine, source->vcpu, source->physical, address, buffer, size);
}

/* The symbol that each value is an address of, "" for none. */
static json_t *describe_values(Vcpu *vcpu, json_t *values)
{
    json_t *list = json_array(), *value;
    size_t i;

    json_array_foreach(values, i, value)
    {
        g_autofree char *symbol =
            symbols_describe(vcpu->machine, vcpu, (uint64_t)json_integer_value(value));

        json_array_append_new(list, monitor_string(symbol));
    }
    return list;
}

/* Texts that end with a NUL, one after the other. */
static json_t *dump_strings(Machine *machine, Vcpu *vcpu, bool physical, uint64_t address,
                            unsigned count, bool *truncated)
{
    json_t *values = json_array();

    for (unsigned i = 0; i < count && !*truncated; i++) {
        char text[STRING_MAX + 1];
        json_t *object = json_object();
        size_t n = 0;

        while (n < STRING_MAX &&
               read_memory(machine, vcpu, physical, address + n, (uint8_t *)text + n, 1) &&
               text[n]) {
            n++;
        }
        *truncated = n < STRING_MAX &&
                     !read_memory(machine, vcpu, physical, address + n, (uint8_t *)text + n, 1);
        text[n] = '\0';
        monitor_put(object, "address", json_integer(address));
        monitor_put(object, "text", monitor_string(text));
        json_array_append_new(values, object);
        address += n + 1;
    }
    return values;
}

/* What the user left open: hexadecimal words, characters, addresses as wide as the first general register. */
static void complete_format(DumpFormat *format, const Vcpu *vcpu)
{
    format->letter = format->letter ? format->letter : 'x';
    if (!format->size) {
        format->size = strchr("cs", format->letter)    ? 1
                       : format->letter == 'a' && vcpu ? vcpu->target->registers->bits / 8
                                                       : 4;
    }
}

static json_t *dump(Monitor *monitor, json_t *arguments, bool physical, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    Vcpu *vcpu = monitor_vcpu(monitor, NULL);
    uint64_t address = monitor_get_int(arguments, "address", 0);
    char letter[2] = "";
    bool truncated = false;
    json_t *result = json_object(), *values;
    const char *member;
    CodeSource source;
    DumpFormat format;

    if (!dump_format_parse(monitor_get_string(arguments, "format"), &format, error) ||
        ((!physical || (format.letter && strchr("ia", format.letter))) &&
         !(vcpu = monitor_vcpu(monitor, error)))) {
        json_decref(result);
        return NULL;
    }
    complete_format(&format, vcpu);
    letter[0] = format.letter;
    machine_exclusive_begin(machine);
    source = (CodeSource){ machine, vcpu, physical };
    if (format.letter == 'i') {
        member = "instructions";
        values = disassemble(vcpu, read_code, &source, address, format.count, &truncated, error);
    } else if (format.letter == 's') {
        member = "texts";
        values = dump_strings(machine, vcpu, physical, address, format.count, &truncated);
    } else {
        member = "values";
        values = dump_values(machine, vcpu, physical, address, &format, &truncated);
    }
    if (format.letter == 'a') {
        monitor_put(result, "symbols", describe_values(vcpu, values));
    }
    machine_exclusive_end(machine);
    if (!values) {
        json_decref(result);
        return NULL;
    }
    monitor_put(result, "address", json_integer(address));
    monitor_put(result, "format", json_string(letter));
    monitor_put(result, "size", json_integer(format.size));
    monitor_put(result, member, values);
    monitor_put(result, "truncated", json_boolean(truncated));
    return result;
}

static void print_strings(json_t *list, GString *out)
{
    size_t i;
    json_t *string;

    json_array_foreach(list, i, string)
    {
        g_autofree char *text = g_strescape(monitor_get_string(string, "text"), NULL);

        g_string_append_printf(out, "%016" PRIx64 ": \"%s\"\n",
                               (uint64_t)monitor_get_int(string, "address", 0), text);
    }
}

static void print_values(json_t *result, GString *out)
{
    const char *format = monitor_get_string(result, "format"), *symbol;
    unsigned size = monitor_get_int(result, "size", 4);
    size_t per_line = *format == 'c'   ? 8
                      : *format == 'a' ? 1
                      : *format == 't' ? 4
                                       : MAX(16 / size, 1);
    uint64_t address = monitor_get_int(result, "address", 0);
    json_t *values = json_object_get(result, "values"), *value;
    size_t i;

    json_array_foreach(values, i, value)
    {
        if (i % per_line == 0) {
            g_string_append_printf(out, "%s%016" PRIx64 ":", i ? "\n" : "", address + i * size);
        }
        dump_format_append(out, *format, size, json_integer_value(value));
        symbol = json_string_value(json_array_get(json_object_get(result, "symbols"), i));
        if (symbol && *symbol) {
            g_string_append_printf(out, " <%s>", symbol);
        }
    }
    if (json_array_size(values)) {
        g_string_append_c(out, '\n');
    }
}

static void dump_print(Monitor *monitor, json_t *result, GString *out)
{
    if (monitor_has(result, "instructions")) {
        disassemble_print(json_object_get(result, "instructions"), NULL, out);
    } else if (monitor_has(result, "texts")) {
        print_strings(json_object_get(result, "texts"), out);
    } else {
        print_values(result, out);
    }
    if (monitor_get_bool(result, "truncated")) {
        g_string_append(out, "Cannot access memory\n");
    }
}

static json_t *x_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return dump(monitor, arguments, false, error);
}

static json_t *xp_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return dump(monitor, arguments, true, error);
}

static const MonitorArgument dump_arguments[] = {
    { "format", ARGUMENT_FORMAT, true,
      "count, format (x d u o t, a: addresses, c, i, s) and size (b h w g)" },
    { "address", ARGUMENT_INT, .summary = "where to begin" },
    { NULL },
};

static const MonitorCommand x_command = {
    .name = "x-read-memory",
    .hmp = "x",
    .summary = "shows memory at a virtual address",
    .arguments = dump_arguments,
    .run = x_run,
    .print = dump_print,
    .returns = "MemoryDump",
};
MONITOR_COMMAND(x_command);

static const MonitorCommand xp_command = {
    .name = "x-read-physical-memory",
    .hmp = "xp",
    .summary = "shows memory at a physical address",
    .arguments = dump_arguments,
    .run = xp_run,
    .print = dump_print,
    .returns = "MemoryDump",
};
MONITOR_COMMAND(xp_command);

/* The port's number and width, from arguments that both commands have. */
static bool get_port(json_t *arguments, uint64_t *port, unsigned *size, GError **error)
{
    DumpFormat format;

    if (!dump_format_parse(monitor_get_string(arguments, "format"), &format, error)) {
        return false;
    }
    *port = monitor_get_int(arguments, "address", 0);
    *size = format.size ? MIN(format.size, 4) : 4;
    if (*port > UINT16_MAX) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "%#" PRIx64 " is no I/O port: they go from 0 to 0xffff", *port);
    }
    return true;
}

static json_t *i_run(Monitor *monitor, json_t *arguments, GError **error)
{
    AddressSpace *space = &monitor_machine(monitor)->io_space;
    uint64_t port, value;
    json_t *result;
    unsigned size;

    if (!get_port(arguments, &port, &size, error)) {
        return NULL;
    }
    /* An index goes to the port first, and the data port behind it is read. */
    if (monitor_has(arguments, "index")) {
        address_space_write(space, port++, monitor_get_int(arguments, "index", 0) & 0xff, 1,
                            MEMORY_ATTRIBUTES_DMA);
    }
    address_space_read(space, port & UINT16_MAX, &value, size, MEMORY_ATTRIBUTES_DMA);
    result = json_object();
    monitor_put(result, "address", json_integer(port & UINT16_MAX));
    monitor_put(result, "size", json_integer(size));
    monitor_put(result, "value", json_integer(value));
    return result;
}

static void i_print(Monitor *monitor, json_t *result, GString *out)
{
    int size = monitor_get_int(result, "size", 4);

    g_string_append_printf(out, "port%c[0x%04x] = 0x%0*" PRIx64 "\n", " bw l"[size],
                           (unsigned)monitor_get_int(result, "address", 0), 2 * size,
                           (uint64_t)monitor_get_int(result, "value", 0));
}

static const MonitorArgument i_arguments[] = {
    { "format", ARGUMENT_FORMAT, true, "size (b h w)" },
    { "address", ARGUMENT_INT, .summary = "the port" },
    { "index", ARGUMENT_INT, true, "written to the port first; the next port is read then" },
    { NULL },
};

static const MonitorCommand i_command = {
    .name = "x-read-port",
    .hmp = "i",
    .summary = "reads an I/O port",
    .arguments = i_arguments,
    .run = i_run,
    .print = i_print,
    .returns = "PortValue",
};
MONITOR_COMMAND(i_command);

static json_t *o_run(Monitor *monitor, json_t *arguments, GError **error)
{
    uint64_t port;
    unsigned size;

    if (get_port(arguments, &port, &size, error)) {
        address_space_write(&monitor_machine(monitor)->io_space, port,
                            monitor_get_int(arguments, "value", 0), size, MEMORY_ATTRIBUTES_DMA);
    }
    return NULL;
}

static const MonitorArgument o_arguments[] = {
    { "format", ARGUMENT_FORMAT, true, "size (b h w)" },
    { "address", ARGUMENT_INT, .summary = "the port" },
    { "value", ARGUMENT_INT, .summary = "what to write" },
    { NULL },
};

static const MonitorCommand o_command = {
    .name = "x-write-port",
    .hmp = "o",
    .summary = "writes an I/O port",
    .arguments = o_arguments,
    .run = o_run,
};
MONITOR_COMMAND(o_command);

static json_t *gva2gpa_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Vcpu *vcpu = monitor_vcpu(monitor, error);
    uint64_t guest_phys;
    json_t *result;
    bool mapped;

    if (!vcpu) {
        return NULL;
    }
    machine_exclusive_begin(monitor_machine(monitor));
    mapped =
        vcpu->target->translate_debug(vcpu, monitor_get_int(arguments, "address", 0), &guest_phys);
    machine_exclusive_end(monitor_machine(monitor));
    result = json_object();
    if (mapped) {
        monitor_put(result, "physical", json_integer(guest_phys));
    }
    return result;
}

static void gva2gpa_print(Monitor *monitor, json_t *result, GString *out)
{
    if (monitor_has(result, "physical")) {
        g_string_append_printf(out, "gpa: 0x%" PRIx64 "\n", monitor_get_int(result, "physical", 0));
    } else {
        g_string_append(out, "Unmapped\n");
    }
}

static const MonitorArgument address_arguments[] = {
    { "address", ARGUMENT_INT, .summary = "guest address" },
    { NULL },
};

static const MonitorCommand gva2gpa_command = {
    .name = "x-translate",
    .hmp = "gva2gpa",
    .summary = "shows the physical address behind a virtual one",
    .arguments = address_arguments,
    .run = gva2gpa_run,
    .print = gva2gpa_print,
    .returns = "TranslatedAddress",
};
MONITOR_COMMAND(gva2gpa_command);

/* Where the address is in this process, and its region's name. */
static void *find_ram(Monitor *monitor, json_t *arguments, const char **region, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    uint64_t address = monitor_get_int(arguments, "address", 0), size = 1;
    const MemoryRange *range = address_space_find(&machine->memory_space, address);
    void *host = address_space_map(&machine->memory_space, address, &size, false);

    if (!host || !range) {
        error_fail(error, KASO_ERROR_INVALID, "no RAM is at guest physical address %#" PRIx64,
                   address);
        return NULL;
    }
    *region = range->region->name;
    return host;
}

static json_t *gpa2hva_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const char *region;
    void *host = find_ram(monitor, arguments, &region, error);
    GString *text;

    if (!host) {
        return NULL;
    }
    text = g_string_new(NULL);
    g_string_append_printf(text, "Host virtual address for 0x%" PRIx64 " (%s) is %p\n",
                           monitor_get_int(arguments, "address", 0), region, host);
    return monitor_text(text);
}

static const MonitorCommand gpa2hva_command = {
    .hmp = "gpa2hva",
    .summary = "shows where RAM is in this process",
    .arguments = address_arguments,
    .run = gpa2hva_run,
};
MONITOR_COMMAND(gpa2hva_command);

/* The host's physical address of memory of ours; 0 with an error: Linux does not tell, or has it nowhere now. */
static uint64_t host_physical(const void *host, GError **error)
{
    enum { ENTRY_BYTES = 8, FRAME_BITS = 55, PRESENT = 63 };
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), at = (uintptr_t)host, entry;
    int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    ssize_t got;

    if (fd < 0) {
        error_fail_errno(error, errno, "cannot open '/proc/self/pagemap'");
        return 0;
    }
    got = pread(fd, &entry, sizeof entry, (off_t)(at / page * ENTRY_BYTES));
    close(fd);
    if (got != sizeof entry || !(entry >> PRESENT & 1)) {
        error_fail(error, KASO_ERROR_GENERIC, "the page is not in the host's memory now");
        return 0;
    }
    if (!(entry & bits_mask(FRAME_BITS))) {
        error_fail(error, KASO_ERROR_GENERIC,
                   "the host tells its physical addresses only to root (CAP_SYS_ADMIN)");
        return 0;
    }
    return (entry & bits_mask(FRAME_BITS)) * page + at % page;
}

static json_t *gpa2hpa_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const char *region;
    const volatile uint8_t *host = find_ram(monitor, arguments, &region, error);
    uint64_t physical = 0;
    GString *text;

    if (host) {
        (void)*host; /* memory that nobody has used yet is nowhere */
        physical = host_physical((const void *)host, error);
    }
    if (!physical) {
        return NULL;
    }
    text = g_string_new(NULL);
    g_string_append_printf(text, "Host physical address for 0x%" PRIx64 " (%s) is 0x%" PRIx64 "\n",
                           monitor_get_int(arguments, "address", 0), region, physical);
    return monitor_text(text);
}

static const MonitorCommand gpa2hpa_command = {
    .hmp = "gpa2hpa",
    .summary = "shows where RAM is in the host's memory (for root)",
    .arguments = address_arguments,
    .run = gpa2hpa_run,
};
MONITOR_COMMAND(gpa2hpa_command);

static bool save_range(Machine *machine, Vcpu *vcpu, bool physical, uint64_t address, uint64_t size,
                       FILE *file, const char *path, GError **error)
{
    uint8_t *buffer = g_malloc(SAVE_CHUNK);
    bool ok = true;

    while (ok && size) {
        size_t n = MIN(size, SAVE_CHUNK);

        if (read_memory(machine, vcpu, physical, address, buffer, n) < n) {
            ok = error_fail(error, KASO_ERROR_INVALID,
                            "not all of the %zu bytes at %#" PRIx64 " are memory", n, address);
        } else if (fwrite(buffer, 1, n, file) < n) {
            ok = error_fail_errno(error, errno, "cannot write file '%s'", path);
        } else if (machine_end_pending(machine)) {
            ok = error_fail(error, KASO_ERROR_GENERIC, "'%s' is not complete: the machine ends",
                            path);
        }
        address += n;
        size -= n;
    }
    g_free(buffer);
    return ok;
}

static json_t *save(Monitor *monitor, json_t *arguments, bool physical, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    int64_t index = monitor_get_int(arguments, "cpu-index", monitor_vcpu_index(monitor));
    const char *path = monitor_get_string(arguments, "filename");
    Vcpu *vcpu = NULL;
    FILE *file;

    if (index >= 0 && index < machine->vcpus->len) {
        vcpu = machine->vcpus->pdata[index];
    }
    if (!physical && !vcpu) {
        error_fail(error, KASO_ERROR_INVALID, "there is no CPU %d", (int)index);
        return NULL;
    }
    file = fopen(path, "wb");
    if (!file) {
        error_fail_errno(error, errno, "cannot write file '%s'", path);
        return NULL;
    }
    machine_exclusive_begin(machine);
    save_range(machine, vcpu, physical, monitor_get_int(arguments, "val", 0),
               monitor_get_int(arguments, "size", 0), file, path, error);
    machine_exclusive_end(machine);
    if (fclose(file) && !(error && *error)) {
        error_fail_errno(error, errno, "cannot write file '%s'", path);
    }
    return NULL;
}

static json_t *memsave_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return save(monitor, arguments, false, error);
}

static json_t *pmemsave_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return save(monitor, arguments, true, error);
}

static const MonitorArgument memsave_arguments[] = {
    { "val", ARGUMENT_INT, .summary = "address" },
    { "size", ARGUMENT_INT, .summary = "bytes" },
    { "filename", ARGUMENT_STRING, .summary = "file to write" },
    { "cpu-index", ARGUMENT_INT, true, "whose virtual addresses" },
    { NULL },
};

static const MonitorCommand memsave_command = {
    .name = "memsave",
    .hmp = "memsave",
    .summary = "writes virtual memory to a file",
    .arguments = memsave_arguments,
    .run = memsave_run,
};
MONITOR_COMMAND(memsave_command);

static const MonitorArgument pmemsave_arguments[] = {
    { "val", ARGUMENT_INT, .summary = "address" },
    { "size", ARGUMENT_INT, .summary = "bytes" },
    { "filename", ARGUMENT_STRING, .summary = "file to write" },
    { NULL },
};

static const MonitorCommand pmemsave_command = {
    .name = "pmemsave",
    .hmp = "pmemsave",
    .summary = "writes physical memory to a file",
    .arguments = pmemsave_arguments,
    .run = pmemsave_run,
};
MONITOR_COMMAND(pmemsave_command);

/* As the sum of System V's `sum -s` begins: bytes rotated to the right and added, 16 bits. */
static json_t *sum_run(Monitor *monitor, json_t *arguments, GError **error)
{
    uint64_t address = (uint64_t)monitor_get_int(arguments, "start", 0);
    uint64_t size = (uint64_t)monitor_get_int(arguments, "size", 0);
    g_autofree uint8_t *chunk = g_malloc(SAVE_CHUNK);
    unsigned sum = 0;

    while (size) {
        size_t wanted = MIN(size, SAVE_CHUNK);
        size_t got = read_memory(monitor_machine(monitor), NULL, true, address, chunk, wanted);

        for (size_t i = 0; i < got; i++) {
            sum = ((sum >> 1 | sum << 15) + chunk[i]) & 0xffff;
        }
        if (got < wanted) {
            error_fail(error, KASO_ERROR_GENERIC,
                       "Invalid addr 0x%016" PRIx64 "/size %" PRIu64 " specified", address + got,
                       size);
            return NULL;
        }
        address += got;
        size -= got;
    }
    return json_integer(sum);
}

static void sum_print(Monitor *monitor, json_t *result, GString *out)
{
    g_string_append_printf(out, "%05d\n", (int)json_integer_value(result));
}

static const MonitorArgument sum_arguments[] = {
    { "start", ARGUMENT_INT, .summary = "physical address" },
    { "size", ARGUMENT_INT, .summary = "bytes" },
    { NULL },
};

static const MonitorCommand sum_command = {
    .hmp = "sum",
    .summary = "computes the 16-bit checksum of guest memory",
    .arguments = sum_arguments,
    .run = sum_run,
    .print = sum_print,
};
MONITOR_COMMAND(sum_command);
