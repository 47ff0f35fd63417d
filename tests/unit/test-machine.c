/* SPDX-License-Identifier: MIT */
/* Devices, registers, properties, back ends, events, views. */
#include <glib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "machine/chardev.h"
#include "machine/netdev.h"
#include "machine/object.h"
#include "machine/random.h"
#include "tests/unit/counting-machine.h"

typedef struct {
    Object *object;
    BlockBackend *drive;
    unsigned closed;
} Referrer;

static BlockBackend *open_drive(void *opaque, const char *id, GError **error)
{
    if (strcmp(id, "node") == 0) {
        return opaque;
    }
    error_fail(error, KASO_ERROR_NOT_FOUND, "no node '%s'", id);
    return NULL;
}

static void close_drive(void *opaque, BlockBackend *drive)
{
    Referrer *referrer = opaque;

    g_assert_true((void *)drive == referrer);
    referrer->closed++;
}

static void test_references(void)
{
    static const Property table[] = {
        { "object", PROPERTY_OBJECT, offsetof(Referrer, object), "" },
        { "drive", PROPERTY_DRIVE, offsetof(Referrer, drive), "" },
        { "sve", PROPERTY_NOT_YET, 0, "vectors" },
        { 0 },
    };
    Machine *machine = counting_machine(1);
    g_autoptr(KeyValues) one = key_values_parse("rng-builtin,id=one", "qom-type", NULL);
    g_autoptr(KeyValues) two = key_values_parse("rng-builtin,id=two", "qom-type", NULL);
    Referrer a = { 0 };
    GError *error = NULL;

    g_assert_true(object_add(machine, one, &error) && object_add(machine, two, &error));
    g_assert_false(object_add(machine, two, NULL));
    g_assert_true(property_set(machine, table, &a, "a", "object", "one", &error));
    g_assert_false(object_remove(machine, "one", NULL)); /* it is in use */
    g_assert_true(property_set(machine, table, &a, "a", "object", "two", &error));
    g_assert_true(object_remove(machine, "one", &error));
    properties_free(table, &a);
    g_assert_true(object_remove(machine, "two", &error));
    g_assert_false(object_remove(machine, "two", NULL));

    g_assert_false(property_set(machine, table, &a, "a", "drive", "node", NULL));
    machine_set_drive_opener(machine, open_drive, close_drive, &a);
    g_assert_true(property_set(machine, table, &a, "a", "drive", "node", &error));
    g_assert_true((void *)a.drive == &a);
    g_assert_true(property_set(machine, table, &a, "a", "drive", "node", &error));
    g_assert_cmpuint(a.closed, ==, 1);
    machine_leave_drive(machine, a.drive);
    machine_leave_drive(machine, a.drive);
    g_assert_cmpuint(a.closed, ==, 2);
    g_assert_false(property_set(machine, table, &a, "a", "drive", "nobody", &error));
    g_assert_cmpstr(error->message, ==, "a: property 'drive': no node 'nobody'");
    g_clear_error(&error);

    g_assert_true(property_set(machine, table, &a, "a", "sve", "off", &error));
    g_assert_true(property_set(machine, table, &a, "a", "sve", "auto", &error));
    g_assert_false(property_set(machine, table, &a, "a", "sve", "on", &error));
    g_assert_cmpstr(error->message, ==, "a: sve=on: not yet: vectors");
    g_clear_error(&error);
    machine_free(machine);
}

/* A device with a register table that has one of each kind. */
typedef struct {
    Device device;
    uint32_t control, status, array[4];
    uint16_t half;
    uint64_t wide, number;
    uint32_t hook_value;
    char *name;
    int mode;
} Sample;

static uint64_t sample_read_hook(Device *device, unsigned index)
{
    return container_of(device, Sample, device)->hook_value + index;
}

static void sample_write_hook(Device *device, unsigned index, uint64_t value)
{
    container_of(device, Sample, device)->hook_value = value;
}

/* clang-format off */
static const Register sample_registers[] = {
    { "CONTROL", 0x00, 4, REGISTER_RW, .reset = 0x30, .writable = 0xff, .field = offsetof(Sample, control) },
    { "STATUS", 0x04, 4, REGISTER_W1C, .reset = 0xf, .field = offsetof(Sample, status) },
    { "HALF", 0x08, 2, REGISTER_RW, .field = offsetof(Sample, half) },
    { "ARRAY", 0x10, 4, REGISTER_RW, .count = 4, .stride = 8, .field = offsetof(Sample, array) },
    { "WIDE", 0x30, 8, REGISTER_RW, .field = offsetof(Sample, wide) },
    { "HOOK", 0x40, 4, REGISTER_RW, .count = 2, .field = REGISTER_NO_FIELD, .read = sample_read_hook, .write = sample_write_hook },
    { "RX", 0x48, 4, REGISTER_R, .field = offsetof(Sample, control) },
    { "TX", 0x48, 4, REGISTER_W, .field = offsetof(Sample, status) },
    { 0 },
};
static const char *const sample_modes[] = { "slow", "fast", NULL };
static const DeviceType sample_type = {
    .name = "sample",
    .instance_size = sizeof(Sample),
    .properties = (const Property[]){
        { "name", PROPERTY_STRING, offsetof(Sample, name), "", .fallback = "joe" },
        { "number", PROPERTY_SIZE, offsetof(Sample, number), "" },
        { "mode", PROPERTY_ENUM, offsetof(Sample, mode), "", .values = sample_modes },
        { 0 },
    },
    .banks = (const RegisterBank[]){ { "sample", 0x100, sample_registers }, { 0 } },
};
/* clang-format on */
DEVICE_TYPE(sample_type);

static Sample *make_sample(Machine *machine, const char *id)
{
    Device *device = device_create(machine, NULL, "sample", NULL, id, NULL);

    g_assert_nonnull(device);
    return container_of(device, Sample, device);
}

static uint64_t mmio(Machine *machine, uint64_t address, unsigned size)
{
    uint64_t value;

    g_assert_cmpint(
        address_space_read(&machine->memory_space, address, &value, size, MEMORY_ATTRIBUTES_DMA),
        ==, MEMORY_OK);
    return value;
}

static void mmio_write(Machine *machine, uint64_t address, uint64_t value, unsigned size)
{
    g_assert_cmpint(
        address_space_write(&machine->memory_space, address, value, size, MEMORY_ATTRIBUTES_DMA),
        ==, MEMORY_OK);
}

static void test_registers(void)
{
    Machine *machine = counting_machine(0);
    Sample *s = make_sample(machine, NULL);

    g_assert_true(device_realize(&s->device, NULL));
    g_assert_cmphex(s->control, ==, 0x30);
    machine_lock(machine);
    device_map(&s->device, 0, 0x1000);
    machine_unlock(machine);
    mmio_write(machine, 0x1000, 0xabcd, 4);
    g_assert_cmphex(mmio(machine, 0x1000, 4), ==, 0xcd);
    mmio_write(machine, 0x1004, 0x3, 4);
    g_assert_cmphex(s->status, ==, 0xc);
    mmio_write(machine, 0x1005, 0xff, 1); /* only the second byte's bits can be cleared */
    g_assert_cmphex(s->status, ==, 0xc);
    mmio_write(machine, 0x1008, 0x1234, 2);
    g_assert_cmphex(mmio(machine, 0x1009, 1), ==, 0x12);
    mmio_write(machine, 0x1020, 7, 4);
    g_assert_cmphex(s->array[2], ==, 7);
    g_assert_cmphex(mmio(machine, 0x1014, 4), ==, 0); /* between array elements */
    mmio_write(machine, 0x1030, 0x1122334455667788, 8);
    g_assert_cmphex(mmio(machine, 0x1034, 4), ==, 0x11223344);
    mmio_write(machine, 0x1034, 0xaa, 1);
    g_assert_cmphex(s->wide, ==, 0x112233aa55667788);
    mmio_write(machine, 0x1040, 5, 4);
    g_assert_cmphex(mmio(machine, 0x1040, 8), ==, UINT64_C(6) << 32 | 5);
    mmio_write(machine, 0x1048, 0x55, 4);
    g_assert_cmphex(s->status, ==, 0x55);
    g_assert_cmphex(mmio(machine, 0x1048, 4), ==, 0xcd);
    g_assert_cmphex(mmio(machine, 0x10fc, 4), ==, 0);
    device_reset_tree(&s->device);
    g_assert_cmphex(s->control, ==, 0x30);
    g_assert_cmphex(s->array[2], ==, 0);
    machine_free(machine);
}

static void test_devices(void)
{
    Machine *machine = counting_machine(1);
    Sample *s;
    GError *error = NULL;
    char *text;

    machine_add_global(machine, "sample", "number", "3K");
    machine_add_global(machine, "nothing", "x", "y");
    s = make_sample(machine, NULL);
    g_assert_cmpuint(s->number, ==, 3072);
    g_assert_cmpstr(machine_unused_global(machine), ==, "nothing");
    g_assert_cmpstr(s->name, ==, "joe");
    text = device_path(&s->device);
    g_assert_cmpstr(text, ==, "/machine/sample.0");
    g_assert_true(device_find(machine, text) == &s->device);
    g_assert_nonnull(device_find(machine, "/machine/cpu0"));
    g_free(text);
    g_assert_true(device_set(&s->device, "mode", "fast", &error));
    text = device_get(&s->device, "mode", &error);
    g_assert_cmpstr(text, ==, "fast");
    g_free(text);
    g_assert_false(device_set(&s->device, "mode", "faster", &error));
    g_assert_cmpstr(error->message, ==,
                    "device 'sample': 'faster' is no value for property 'mode'; give one of slow, "
                    "fast");
    g_clear_error(&error);
    g_assert_false(device_set(&s->device, "numbr", "1", &error));
    g_assert_cmpstr(error->message, ==,
                    "device 'sample' has no property 'numbr'; did you mean 'number'?");
    g_clear_error(&error);
    g_assert_null(device_create(machine, NULL, "sampel", NULL, NULL, &error));
    g_assert_nonnull(strstr(error->message, "did you mean 'sample'"));
    g_clear_error(&error);
    make_sample(machine, "twin");
    g_assert_null(device_create(machine, NULL, "sample", NULL, "twin", &error));
    g_clear_error(&error);
    machine_free(machine);
}

static void test_properties(void)
{
    typedef struct {
        bool flag;
        uint8_t small;
        uint64_t size;
        int32_t number, devfn;
        uint8_t mac[6];
        int choice;
        Chardev *chardev;
    } Everything;
    static const Property table[] = {
        { "flag", PROPERTY_BOOL, offsetof(Everything, flag), "" },
        { "small", PROPERTY_U8, offsetof(Everything, small), "" },
        { "size", PROPERTY_SIZE, offsetof(Everything, size), "" },
        { "number", PROPERTY_I32, offsetof(Everything, number), "", .fallback = "-5" },
        { "addr", PROPERTY_PCI_ADDR, offsetof(Everything, devfn), "" },
        { "mac", PROPERTY_MAC, offsetof(Everything, mac), "" },
        { "choice", PROPERTY_ON_OFF_AUTO, offsetof(Everything, choice), "" },
        { "chardev", PROPERTY_CHARDEV, offsetof(Everything, chardev), "" },
        { 0 },
    };
    static const struct {
        const char *name, *value, *back; /* back NULL: refused */
    } cases[] = {
        { "flag", "on", "on" },
        { "flag", "False", "off" },
        { "flag", "maybe", NULL },
        { "small", "255", "255" },
        { "small", "0x10", "16" },
        { "small", "256", NULL },
        { "small", "-1", NULL },
        { "small", "", NULL },
        { "size", "1.5G", "1610612736" },
        { "size", "64k", "65536" },
        { "size", "16E", NULL },
        { "size", "4MiB", "4194304" },
        { "size", "4Q", NULL },
        { "number", "-2147483648", "-2147483648" },
        { "number", "2147483648", NULL },
        { "addr", "1f.7", "1f.7" },
        { "addr", "3", "03.0" },
        { "addr", "20", NULL },
        { "addr", "3.8", NULL },
        { "mac", "52:54:00:12:34:56", "52:54:00:12:34:56" },
        { "mac", "52:54:00:12:34", NULL },
        { "mac", "52:54:00:12:34:56:78", NULL },
        { "choice", "auto", "auto" },
        { "choice", "yes", "on" },
        { "choice", "no", "off" },
        { "chardev", "none", NULL },
    };
    Everything e = { 0 };

    properties_init(table, &e);
    g_assert_cmpint(e.number, ==, -5);
    g_assert_cmpint(e.devfn, ==, -1);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        GError *error = NULL;
        bool ok = property_set(NULL, table, &e, "test", cases[i].name, cases[i].value, &error);

        g_test_message("%s=%s", cases[i].name, cases[i].value);
        g_assert_true(ok == (cases[i].back != NULL));
        g_assert_true(ok == (error == NULL));
        if (ok) {
            char *back = property_get(property_find(table, cases[i].name), &e);

            g_assert_cmpstr(back, ==, cases[i].back);
            g_free(back);
        }
        g_clear_error(&error);
    }
}

/* Back ends' generic halves. */
typedef struct {
    GString *received;
    size_t room;
    bool opened;
} Front;

static size_t front_room(void *opaque)
{
    return ((Front *)opaque)->room;
}

static void front_receive(void *opaque, const uint8_t *data, size_t size)
{
    g_string_append_len(((Front *)opaque)->received, (const char *)data, size);
}

static void front_event(void *opaque, ChardevEvent event)
{
    if (event == CHARDEV_OPENED) {
        ((Front *)opaque)->opened = true;
    }
}

static const ChardevFrontend front_end = { front_room, front_receive, front_event };

static size_t loop_write(Chardev *chardev, const uint8_t *data, size_t size)
{
    chardev_receive(chardev, data, size);
    return size;
}

static const ChardevType loop_type = { .name = "test-loop",
                                       .instance_size = sizeof(Chardev),
                                       .write = loop_write };

static void test_chardev(void)
{
    Machine *machine = counting_machine(0);
    Chardev *chardev = g_new0(Chardev, 1);
    Front front = { .received = g_string_new(NULL), .room = 3 };
    GError *error = NULL;

    *chardev =
        (Chardev){ .type = &loop_type, .machine = machine, .id = g_strdup("c0"), .open = true };
    machine_add_chardev(machine, "c0", chardev);
    g_assert_true(machine_find_chardev(machine, "c0") == chardev);
    machine_lock(machine);
    g_assert_true(chardev_attach(chardev, &front_end, &front, &error));
    g_assert_true(front.opened);
    g_assert_false(chardev_attach(chardev, &front_end, &front, &error));
    g_clear_error(&error);
    g_assert_cmpuint(chardev_can_receive(chardev), ==, 3);
    g_assert_cmpuint(chardev_write(chardev, "abc", 3), ==, 3);
    g_assert_cmpstr(front.received->str, ==, "abc");
    g_assert_cmpuint(chardev_write(NULL, "abc", 3), ==, 3);
    chardev_detach(chardev, &front);
    g_assert_cmpuint(chardev_can_receive(chardev), ==, 0);
    machine_unlock(machine);
    g_string_free(front.received, true);
    machine_free(machine);
}

static bool nic_room(void *opaque)
{
    return ((Front *)opaque)->room > 0;
}

static void nic_receive(void *opaque, const uint8_t *frame, size_t size)
{
    Front *front = opaque;

    front->room--;
    front_receive(opaque, frame, size);
}

static const NetClient nic_client = { .can_receive = nic_room, .receive = nic_receive };
static const NetdevType hole_type = { .name = "test-hole", .instance_size = sizeof(Netdev) };

static void test_netdev(void)
{
    Machine *machine = counting_machine(0);
    Netdev *netdev = g_new0(Netdev, 1);
    Front front = { .received = g_string_new(NULL), .room = 1 };

    *netdev =
        (Netdev){ .type = &hole_type, .machine = machine, .id = g_strdup("n0"), .link_up = true };
    g_queue_init(&netdev->backlog);
    machine_add_netdev(machine, "n0", netdev);
    g_assert_true(netdev_attach(netdev, &nic_client, &front, NULL));
    g_assert_false(netdev_attach(netdev, &nic_client, &front, NULL));
    netdev_receive(netdev, (const uint8_t *)"a", 1);
    netdev_receive(netdev, (const uint8_t *)"b", 1);
    netdev_receive(netdev, (const uint8_t *)"c", 1);
    g_assert_cmpstr(front.received->str, ==, "a");
    front.room = 1;
    netdev_flush(netdev);
    g_assert_cmpstr(front.received->str, ==, "ab");
    for (int i = 0; i < 100000; i++) {
        netdev_receive(netdev, (const uint8_t *)"d", 1);
    }
    g_assert_cmpuint(netdev->backlog.length, <, 1000);
    netdev_set_link(netdev, false);
    g_assert_cmpuint(netdev->backlog.length, ==, 0);
    g_string_free(front.received, true);
    machine_free(machine);
}

static void test_objects(void)
{
    Machine *machine = counting_machine(0);
    GHashTable *options = g_hash_table_new(g_str_hash, g_str_equal);
    GError *error = NULL;
    Object *object;
    uint8_t bytes[16];

    object = object_new(machine, "rng-random", "r0", NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpint(object_random(machine, object, bytes, sizeof(bytes)), ==, 16);
    g_assert_cmpint(object_random(machine, NULL, bytes, sizeof(bytes)), ==, 16);
    machine_add_object(machine, object);
    g_assert_null(object_new(machine, "rng-radnom", "r1", NULL, &error));
    g_assert_nonnull(strstr(error->message, "rng-random"));
    g_clear_error(&error);
    g_hash_table_insert(options, (char *)"filename", (char *)"/nonexistent/rng");
    g_assert_null(object_new(machine, "rng-random", "r1", options, &error));
    g_clear_error(&error);
    g_hash_table_unref(options);
    machine_free(machine);
}

/* With a seed the bytes are the same again, however they are asked for, but those of rng-random. */
static void test_seeded_random(void)
{
    uint8_t bytes[2][40] = { 0 };

    for (unsigned i = 0; i < 2; i++) {
        Machine *machine = counting_machine(1);
        Object *object = object_new(machine, "rng-builtin", "r0", NULL, NULL);

        machine_add_object(machine, object);
        machine_seed_random(machine, 7);
        g_assert_cmpint(object_random(machine, object, bytes[i], 8), ==, 8);
        g_assert_cmpint(object_random(machine, NULL, bytes[i] + 8, 16), ==, 16);
        g_assert_true(machine_random(machine, bytes[i] + 24, 16));
        machine_free(machine);
    }
    g_assert_cmpmem(bytes[0], sizeof bytes[0], bytes[1], sizeof bytes[1]);
    g_assert_cmpint(memcmp(bytes[0], bytes[0] + 8, 8), !=, 0);
    g_assert_cmpint(memcmp(bytes[0] + 8, bytes[0] + 24, 16), !=, 0);
}

/* Map changes while vCPUs read lock-free: views are reclaimed, none too early. */
static void read_map(Vcpu *vcpu, void *opaque)
{
    uint64_t value;

    for (int i = 0; i < 2000; i++) {
        address_space_read(&vcpu->machine->memory_space, 0x40000000, &value, 8,
                           (MemoryAttributes){ .vcpu = vcpu->index });
    }
    atomic_fetch_add((atomic_int *)opaque, 1);
}

static void test_reclaim(void)
{
    Machine *machine = counting_machine(2);
    MemoryRegion window;
    atomic_int done = 0;
    int queued = 0;
    unsigned left = 4;

    memory_region_init_alias(&window, machine, "window", &machine->ram, 0, 0x1000);
    machine_lock(machine);
    memory_region_add(machine->system_memory, 0x1000, &window, 0);
    machine_start(machine);
    machine_unlock(machine);
    for (int i = 0; i < 2000; i++) {
        if (i % 20 == 0) {
            vcpu_queue_work(machine->vcpus->pdata[i / 20 & 1], read_map, &done);
            queued++;
        }
        machine_lock(machine);
        memory_region_set_address(&window, 0x1000 * (i + 2));
        machine_unlock(machine);
    }
    while (atomic_load(&done) < queued) {
        g_usleep(100);
    }
    /* They go with the lock, once each vCPU has been seen to wait. */
    for (int tries = 0; tries < 10000 && left >= 4; tries++) {
        vcpu_kick(machine->vcpus->pdata[tries & 1]);
        g_usleep(1000);
        machine_lock(machine);
        machine_unlock(machine);
        machine_lock(machine);
        left = g_slist_length(machine->private->memory.retired);
        machine_unlock(machine);
    }
    g_assert_cmpuint(left, <, 4);
    machine_free(machine);
}

static int count_acknowledges(void *opaque)
{
    return ++*(int *)opaque;
}

/* Events wait in order, are taken by kind, joined only with the last or counted, and dropped by a reset. */
static void test_events(void)
{
    enum { INIT, SIPI, NMI };
    Machine *machine = counting_machine(1);
    Vcpu *vcpu = machine->vcpus->pdata[0];
    VcpuEvent event;
    int vector = 0x30;

    vcpu_post_event(vcpu, INIT, 0);
    vcpu_post_event(vcpu, INIT, 0);
    vcpu_post_event(vcpu, NMI, 0);
    vcpu_post_event(vcpu, SIPI, 9);
    vcpu_post_event(vcpu, INIT, 0);
    g_assert_cmphex(atomic_load(&vcpu->events), ==, 7);
    g_assert_true(vcpu_take_event(vcpu, 1 << NMI, &event));
    g_assert_false(vcpu_take_event(vcpu, 1 << NMI, &event));
    g_assert_true(vcpu_take_event(vcpu, 7, &event) && event.kind == INIT);
    g_assert_true(vcpu_take_event(vcpu, 7, &event) && event.kind == SIPI && event.data == 9);
    g_assert_true(vcpu_take_event(vcpu, 7, &event) && event.kind == INIT);
    g_assert_cmphex(atomic_load(&vcpu->events), ==, 0);
    for (unsigned i = 0; i < 4; i++) {
        vcpu_post_counted_event(vcpu, NMI, 3);
    }
    vcpu_post_event(vcpu, INIT, 0);
    vcpu_limit_events(vcpu, NMI, 2);
    g_assert_true(vcpu_take_event(vcpu, 1 << NMI, &event) &&
                  vcpu_take_event(vcpu, 1 << NMI, &event));
    g_assert_false(vcpu_take_event(vcpu, 1 << NMI, &event));
    g_assert_true(vcpu_take_event(vcpu, 7, &event) && event.kind == INIT);
    for (unsigned i = 0; i < 100; i++) {
        vcpu_post_event(vcpu, SIPI, i);
    }
    machine_lock(machine);
    machine_reset(machine);
    machine_unlock(machine);
    g_assert_false(vcpu_take_event(vcpu, 7, &event));
    g_assert_cmpint(vcpu_acknowledge(vcpu), ==, IRQ_NO_VECTOR);
    irq_connect_acknowledge(&vcpu->acknowledge, count_acknowledges, &vector);
    g_assert_cmphex(vcpu_acknowledge(vcpu), ==, 0x31);
    machine_free(machine);
}

static void flush_noted(Vcpu *vcpu)
{
    atomic_fetch_add(&((CountingCpu *)vcpu)->rounds, 1);
}

/* The accelerator hears of a change of view, and only of a change. */
static void test_views(void)
{
    Accelerator accelerator = counting_accelerator;
    Machine *machine = counting_machine(1);
    Vcpu *vcpu = machine->vcpus->pdata[0];
    AddressSpace management = { 0 };

    accelerator.vcpu_memory_changed = flush_noted;
    machine->accelerator = &accelerator;
    machine_lock(machine);
    address_space_init(&management, machine, machine->system_memory, "management");
    vcpu_set_secure(vcpu, true);
    vcpu_set_secure(vcpu, false);
    g_assert_cmpuint(counting_rounds(machine, 0), ==, 0);
    g_assert_true(vcpu->memory == &machine->memory_space);
    g_assert_false(atomic_load(&management.vcpu_view));
    vcpu_set_memory(vcpu, &machine->memory_space, &management);
    g_assert_cmpuint(counting_rounds(machine, 0), ==, 0);
    vcpu_set_secure(vcpu, true);
    g_assert_cmpuint(counting_rounds(machine, 0), ==, 1);
    g_assert_true(vcpu->memory == &management && atomic_load(&management.vcpu_view));
    machine_reset(machine);
    g_assert_true(vcpu->memory == &machine->memory_space && !vcpu->secure);
    vcpu_set_memory(vcpu, &machine->memory_space, NULL);
    address_space_destroy(&management);
    machine_unlock(machine);
    machine->accelerator = &counting_accelerator;
    machine_free(machine);
}

/* What is attached later may stand on what was attached before, to the end. */
typedef struct {
    Machine *machine;
    const char *name, *below;
    GString *freed;
} Attached;

static void free_attached(void *opaque)
{
    Attached *attached = opaque;

    g_assert_null(machine_attached(attached->machine, attached->name));
    g_assert_true(!attached->below || machine_attached(attached->machine, attached->below));
    g_string_append(attached->freed, attached->name);
}

static void test_attached(void)
{
    Machine *machine = counting_machine(0);
    GString *freed = g_string_new(NULL);
    Attached things[] = { { machine, "a", NULL, freed },
                          { machine, "b", "a", freed },
                          { machine, "c", "b", freed } };

    for (unsigned i = 0; i < G_N_ELEMENTS(things); i++) {
        machine_attach(machine, things[i].name, &things[i], free_attached);
    }
    machine_free(machine);
    g_assert_cmpstr(freed->str, ==, "cba");
    g_string_free(freed, TRUE);
}

/* One that still raises and drops its line when it goes: whoever the line led to may have gone before. */
typedef struct {
    Device device;
    IrqLine irq;
} Wired;

static Wired *wired(Device *device)
{
    return container_of(device, Wired, device);
}

static bool wired_realize(Device *device, GError **error)
{
    device_add_irq(device, &wired(device)->irq);
    return true;
}

static void wired_unrealize(Device *device)
{
    irq_pulse(&wired(device)->irq);
}

static const DeviceType wired_type = {
    .name = "wired",
    .instance_size = sizeof(Wired),
    .realize = wired_realize,
    .unrealize = wired_unrealize,
};
DEVICE_TYPE(wired_type);

static unsigned wired_changes;

static void count_change(void *opaque, int number, int level)
{
    wired_changes++;
}

static void test_lines_at_the_end(void)
{
    Machine *machine = counting_machine(0);
    Device *device = device_create(machine, NULL, "wired", NULL, NULL, NULL);

    g_assert_true(device_realize(device, NULL));
    device_connect_irq(device, 0, count_change, NULL, 0);
    irq_set(&wired(device)->irq, 1);
    g_assert_cmpuint(wired_changes, ==, 1);
    machine_free(machine);
    g_assert_cmpuint(wired_changes, ==, 1);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/machine/references", test_references);
    g_test_add_func("/machine/registers", test_registers);
    g_test_add_func("/machine/devices", test_devices);
    g_test_add_func("/machine/properties", test_properties);
    g_test_add_func("/machine/chardev", test_chardev);
    g_test_add_func("/machine/netdev", test_netdev);
    g_test_add_func("/machine/objects", test_objects);
    g_test_add_func("/machine/seeded-random", test_seeded_random);
    g_test_add_func("/machine/reclaim", test_reclaim);
    g_test_add_func("/machine/events", test_events);
    g_test_add_func("/machine/views", test_views);
    g_test_add_func("/machine/attached", test_attached);
    g_test_add_func("/machine/lines-at-the-end", test_lines_at_the_end);
    return g_test_run();
}
