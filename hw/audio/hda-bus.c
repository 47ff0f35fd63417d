/* SPDX-License-Identifier: MIT */
/* The link between HDA controllers and codecs. */
#include "hw/audio/hda.h"

#include "base/error.h"

static HdaBus *bus_of(const HdaCodec *codec)
{
    return container_of(codec->device.bus, HdaBus, bus);
}

static bool attach(Bus *bus, Device *device, GError **error)
{
    HdaBus *hda = container_of(bus, HdaBus, bus);
    HdaCodec *codec = container_of(device, HdaCodec, device);

    for (unsigned i = 0; codec->address == HDA_NO_ADDRESS && i < HDA_CODECS; i++) {
        codec->address = hda->codecs[i] ? HDA_NO_ADDRESS : i;
    }
    if (codec->address >= HDA_CODECS || hda->codecs[codec->address]) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "HDA codec address cad=%u is taken or not below %d", codec->address,
                          HDA_CODECS);
    }
    hda->codecs[codec->address] = codec;
    return true;
}

static void detach(Bus *bus, Device *device)
{
    HdaBus *hda = container_of(bus, HdaBus, bus);

    for (unsigned i = 0; i < HDA_CODECS; i++) {
        if (hda->codecs[i] && &hda->codecs[i]->device == device) {
            hda->codecs[i] = NULL;
        }
    }
}

const BusType hda_bus_type = { .name = "HDA", .attach = attach, .detach = detach };

void hda_bus_init(HdaBus *bus, Device *controller, const char *name)
{
    bus_init(&bus->bus, &hda_bus_type, controller, name);
}

HdaCodec *hda_codec_at(HdaBus *bus, unsigned address)
{
    return address < HDA_CODECS ? bus->codecs[address] : NULL;
}

uint32_t hda_command(HdaCodec *codec, uint32_t command)
{
    const HdaCodecType *type = codec->device.type->class_data;

    return type->command(codec, command);
}

/* NULL for an empty address, and while a codec comes or goes. */
static const HdaCodecType *type_at(const HdaBus *bus, unsigned address)
{
    const HdaCodec *codec = bus->codecs[address];

    return codec && codec->device.realized ? codec->device.type->class_data : NULL;
}

void hda_stream_changed(HdaBus *bus, unsigned stream, bool output)
{
    for (unsigned i = 0; i < HDA_CODECS; i++) {
        const HdaCodecType *type = type_at(bus, i);

        if (type) {
            type->stream_changed(bus->codecs[i], stream, output);
        }
    }
}

void hda_stream_sync(HdaBus *bus, unsigned stream, bool output)
{
    for (unsigned i = 0; i < HDA_CODECS; i++) {
        const HdaCodecType *type = type_at(bus, i);

        if (type) {
            type->stream_sync(bus->codecs[i], stream, output);
        }
    }
}

void hda_stream_seen(HdaBus *bus, unsigned stream, bool output)
{
    for (unsigned i = 0; i < HDA_CODECS; i++) {
        const HdaCodecType *type = type_at(bus, i);

        if (type) {
            type->stream_seen(bus->codecs[i], stream, output);
        }
    }
}

bool hda_stream_runs(const HdaCodec *codec, unsigned stream, bool output)
{
    HdaBus *bus = bus_of(codec);

    return bus->stream_runs(bus->bus.parent, stream, output);
}

size_t hda_stream_move(const HdaCodec *codec, unsigned stream, bool output, uint8_t *data,
                       size_t bytes)
{
    HdaBus *bus = bus_of(codec);

    return bus->stream_move(bus->bus.parent, stream, output, data, bytes);
}

size_t hda_stream_until_event(const HdaCodec *codec, unsigned stream, bool output)
{
    HdaBus *bus = bus_of(codec);

    return bus->stream_until_event(bus->bus.parent, stream, output);
}

size_t hda_stream_unseen(const HdaCodec *codec, unsigned stream, bool output)
{
    HdaBus *bus = bus_of(codec);

    return bus->stream_unseen(bus->bus.parent, stream, output);
}
