/* SPDX-License-Identifier: MIT */
/*
 * The link of Intel High Definition Audio (rev. 1.0a): a bus of type "HDA" that a controller provides, and codecs that sit on it
 * at the addresses 0 to 14. The controller carries commands to codecs, and moves the frames of a numbered stream between
 * memory and the codec's converter that has that number. Under the machine lock.
 */
#ifndef HW_AUDIO_HDA_H
#define HW_AUDIO_HDA_H

#include "machine/device.h"

enum { HDA_CODECS = 15 };
#define HDA_NO_ADDRESS UINT32_MAX

typedef struct HdaCodec HdaCodec;

/* What a codec is: class_data of its DeviceType. */
typedef struct {
    /* Carries out a command (bits 27:0) and returns the response. */
    uint32_t (*command)(HdaCodec *codec, uint32_t command);
    /* A stream of the controller began or ceased to run: converters with that number follow. */
    void (*stream_changed)(HdaCodec *codec, unsigned stream, bool output);
    /* Somebody looks at how far it is: moves what is due. */
    void (*stream_sync)(HdaCodec *codec, unsigned stream, bool output);
    /* The interrupt for the end of a buffer was acknowledged. */
    void (*stream_seen)(HdaCodec *codec, unsigned stream, bool output);
} HdaCodecType;

/* First member of a codec. */
struct HdaCodec {
    Device device;
    uint32_t address; /* property cad; HDA_NO_ADDRESS: the first that is free */
};

typedef struct {
    Bus bus;
    HdaCodec *codecs[HDA_CODECS];
    /* Of the controller. */
    bool (*stream_runs)(Device *controller, unsigned stream, bool output);
    size_t (*stream_move)(Device *controller, unsigned stream, bool output, uint8_t *data,
                          size_t bytes);
    size_t (*stream_until_event)(Device *controller, unsigned stream, bool output);
    size_t (*stream_unseen)(Device *controller, unsigned stream, bool output);
} HdaBus;

extern const BusType hda_bus_type;
void hda_bus_init(HdaBus *bus, Device *controller, const char *name);

/* For controllers. NULL: nobody is at that address. */
HdaCodec *hda_codec_at(HdaBus *bus, unsigned address);
uint32_t hda_command(HdaCodec *codec, uint32_t command);
void hda_stream_changed(HdaBus *bus, unsigned stream, bool output);
void hda_stream_sync(HdaBus *bus, unsigned stream, bool output);
void hda_stream_seen(HdaBus *bus, unsigned stream, bool output);

/* For codecs. output: from memory to the codec. */
bool hda_stream_runs(const HdaCodec *codec, unsigned stream, bool output);
/* Moves up to so many bytes and returns how many. */
size_t hda_stream_move(const HdaCodec *codec, unsigned stream, bool output, uint8_t *data,
                       size_t bytes);
/* Bytes to the end of the buffer that the controller is in. */
size_t hda_stream_until_event(const HdaCodec *codec, unsigned stream, bool output);
/* As AudioClient.unseen, in bytes. */
size_t hda_stream_unseen(const HdaCodec *codec, unsigned stream, bool output);

#endif
