/* SPDX-License-Identifier: MIT */
/* Packets Z and z: breakpoints and watchpoints. Software and hardware ones are the same: neither shows in memory. */
#include "debug/gdb/session.h"

enum { SOFTWARE_BREAK, HARDWARE_BREAK, WRITE_WATCH, READ_WATCH, ACCESS_WATCH, POINT_TYPES };

static const uint8_t accesses[POINT_TYPES] = { DEBUG_EXECUTE, DEBUG_EXECUTE, DEBUG_WRITE,
                                               DEBUG_READ, DEBUG_READ | DEBUG_WRITE };

typedef struct {
    uint64_t type, address, kind;
} Request;

/* TYPE,ADDRESS,KIND, and perhaps conditions, which gdb judges by itself since nobody said that they were supported. */
static bool parse(const char *arguments, Request *request)
{
    return gdb_number(&arguments, &request->type) && gdb_take(&arguments, ',') &&
           gdb_number(&arguments, &request->address) && gdb_take(&arguments, ',') &&
           gdb_number(&arguments, &request->kind);
}

static GdbPoint *find(GdbStub *stub, const Request *request, unsigned *index)
{
    bool breaks = request->type <= HARDWARE_BREAK;

    for (unsigned i = 0; i < stub->points->len; i++) {
        GdbPoint *point = g_ptr_array_index(stub->points, i);

        if (point->type == request->type && point->point.address == request->address &&
            (breaks || point->point.size == request->kind)) {
            *index = i;
            return point;
        }
    }
    return NULL;
}

static void insert(GdbStub *stub, const Request *request)
{
    g_autoptr(GError) error = NULL;
    bool breaks = request->type <= HARDWARE_BREAK;
    GdbPoint *point = g_new(GdbPoint, 1);

    *point = (GdbPoint){
        .type = (unsigned)request->type,
        .point = { .client = &stub->client,
                   .address = request->address,
                   .size = breaks ? 1 : request->kind,
                   .access = accesses[request->type],
                   .physical = stub->physical,
                   .before = !breaks && stub->machine->config.target->watch_before },
    };
    if (!debug_add_point(stub->machine, &point->point, &error)) {
        g_free(point);
        gdb_reply(stub, GDB_EINVAL);
        return;
    }
    g_ptr_array_add(stub->points, point);
    gdb_reply(stub, "OK");
}

void gdb_insert_point(GdbStub *stub, const char *arguments, size_t size)
{
    Request request;
    unsigned index;

    if (!parse(arguments, &request)) {
        gdb_reply(stub, GDB_EINVAL);
    } else if (request.type >= POINT_TYPES) {
        gdb_reply(stub, "%s", ""); /* not known */
    } else if (find(stub, &request, &index)) {
        gdb_reply(stub, "OK"); /* as often as gdb likes */
    } else if (stub->points->len >= GDB_POINTS_MAX ||
               (request.type > HARDWARE_BREAK && (!request.kind || request.kind > UINT32_MAX))) {
        gdb_reply(stub, GDB_EINVAL);
    } else {
        insert(stub, &request);
    }
}

void gdb_remove_point(GdbStub *stub, const char *arguments, size_t size)
{
    Request request;
    GdbPoint *point;
    unsigned index;

    if (!parse(arguments, &request)) {
        gdb_reply(stub, GDB_EINVAL);
        return;
    }
    if (request.type >= POINT_TYPES) {
        gdb_reply(stub, "%s", "");
        return;
    }
    point = find(stub, &request, &index);
    if (point) {
        debug_remove_point(stub->machine, &point->point);
        g_ptr_array_remove_index(stub->points, index);
    }
    /* To remove a breakpoint that is not there does no harm; of a watchpoint gdb wants to know. */
    gdb_reply(stub, "%s", point || request.type <= HARDWARE_BREAK ? "OK" : GDB_EINVAL);
}

void gdb_remove_points(GdbStub *stub)
{
    while (stub->points->len) {
        GdbPoint *point = g_ptr_array_index(stub->points, stub->points->len - 1);

        debug_remove_point(stub->machine, &point->point);
        g_ptr_array_set_size(stub->points, (int)stub->points->len - 1);
    }
}
