/* SPDX-License-Identifier: MIT */
/* A window: from a display's surface to a texture to the screen. */
#include "ui/sdl/sdl.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "monitor/image-file.h"

enum { STRIP_ROWS = 64, GL_RENDERER_NAME = 0x1f01 /* OpenGL's GL_RENDERER */ };

static SdlWindow *window_of(DisplayListener *listener)
{
    return (SdlWindow *)((char *)listener - offsetof(SdlWindow, listener));
}

/* What displays tell, on any thread. */

static void tell_surface(DisplayListener *listener, pixman_image_t *surface)
{
    window_of(listener)->surface_changed = true;
}

static void tell_damage(DisplayListener *listener, int x, int y, int width, int height)
{
    SdlWindow *window = window_of(listener);

    if (width > 0 && height > 0) {
        pixman_region32_union_rect(&window->changed, &window->changed, x, y, (unsigned)width,
                                   (unsigned)height);
    }
}

static void tell_cursor(DisplayListener *listener, bool image)
{
    window_of(listener)->cursor_changed = true;
}

static void tell_gone(DisplayListener *listener)
{
    SdlWindow *window = window_of(listener);

    window->home = window->home == window->display ? NULL : window->home;
    window->display = NULL;
    seat_set_display(&window->seat, NULL);
}

/* The texture. */

static void drop_texture(SdlWindow *window)
{
    if (window->texture) {
        SDL(DestroyTexture)(window->texture);
        window->texture = NULL;
    }
    if (window->strip) {
        pixman_image_unref(window->strip);
        window->strip = NULL;
    }
}

static void make_texture(SdlWindow *window, pixman_image_t *surface)
{
    int width = pixman_image_get_width(surface), height = pixman_image_get_height(surface);
    bool resized = width != window->width || height != window->height;

    pixman_region32_fini(&window->changed);
    pixman_region32_init_rect(&window->changed, 0, 0, (unsigned)width, (unsigned)height);
    if (!resized && window->texture) {
        return; /* a guest that draws in two surfaces by turns */
    }
    drop_texture(window);
    window->texture = SDL(CreateTexture)(window->renderer, SDL_PIXELFORMAT_RGB888,
                                         SDL_TEXTUREACCESS_STREAMING, width, height);
    window->strip = pixman_image_create_bits(PIXMAN_x8r8g8b8, width, STRIP_ROWS, NULL, 0);
    if (!window->texture || !window->strip) {
        drop_texture(window); /* larger than the host can show: the window stays black */
    }
    window->width = width;
    window->height = height;
    if (resized && !window->sized_by_user && !window->full_screen) {
        sdl_window_zoom(window, 1);
    }
}

static void upload(SdlWindow *window, pixman_image_t *surface, const pixman_box32_t *box)
{
    SDL_Rect rect = { box->x1, box->y1, box->x2 - box->x1, box->y2 - box->y1 };
    int stride = pixman_image_get_stride(surface);

    if (pixman_image_get_format(surface) == PIXMAN_x8r8g8b8) {
        SDL(UpdateTexture)
        (window->texture, &rect,
         (const char *)pixman_image_get_data(surface) + (ptrdiff_t)box->y1 * stride +
             (ptrdiff_t)box->x1 * 4,
         stride);
        return;
    }
    stride = pixman_image_get_stride(window->strip);
    for (rect.y = box->y1; rect.y < box->y2; rect.y += rect.h) {
        rect.h = MIN(STRIP_ROWS, box->y2 - rect.y);
        pixman_image_composite32(PIXMAN_OP_SRC, surface, NULL, window->strip, rect.x, rect.y, 0, 0,
                                 rect.x, 0, rect.w, rect.h);
        SDL(UpdateTexture)
        (window->texture, &rect,
         (const char *)pixman_image_get_data(window->strip) + (ptrdiff_t)rect.x * 4, stride);
    }
}

static void take_surface(SdlWindow *window)
{
    pixman_image_t *surface = display_surface(window->display);
    int count;
    pixman_box32_t *boxes;

    if (window->surface_changed) {
        window->surface_changed = false;
        make_texture(window, surface);
        window->dirty = true;
    }
    pixman_region32_intersect_rect(&window->changed, &window->changed, 0, 0,
                                   (unsigned)window->width, (unsigned)window->height);
    boxes = pixman_region32_rectangles(&window->changed, &count);
    for (int i = 0; window->texture && i < count; i++) {
        upload(window, surface, &boxes[i]);
    }
    window->dirty |= count > 0;
    pixman_region32_clear(&window->changed);
}

/* A head beside the first is a window only while the guest uses it. */
static void show_or_hide(SdlWindow *window)
{
    bool hidden = window->sdl->windows->pdata[0] != window && !display_is_on(window->display);

    if (hidden != window->hidden) {
        window->hidden = hidden;
        (hidden ? SDL(HideWindow) : SDL(ShowWindow))(window->window);
    }
}

static void take_display(void *opaque)
{
    SdlWindow *window = opaque;

    show_or_hide(window);
    take_surface(window);
    if (window->cursor_changed) {
        window->cursor_changed = false;
        sdl_window_update_cursor(window);
    }
    sdl_window_set_title(window);
}

static void tell_refreshed(DisplayListener *listener)
{
    SdlWindow *window = window_of(listener);

    sdl_guard(window->sdl, take_display, window);
    if (window->dirty) {
        sdl_hurry(window->sdl);
    }
}

/* Windows. */

/* Whether OpenGL is there but drawn by the processor, which does the same with less trouble by itself. */
static bool is_slow_gl(SDL_Renderer *renderer)
{
    SDL_RendererInfo info;
    const char *(*get_string)(unsigned name);
    const char *name;

    if (SDL(GetRendererInfo)(renderer, &info) < 0 || !g_str_has_prefix(info.name, "opengl")) {
        return false;
    }
    get_string = (const char *(*)(unsigned))SDL(GL_GetProcAddress)("glGetString");
    name = get_string ? get_string(GL_RENDERER_NAME) : NULL;
    return name && (strstr(name, "llvmpipe") || strstr(name, "softpipe") || strstr(name, "swrast"));
}

static SDL_Renderer *make_renderer(const SdlWindow *window)
{
    Uint32 sync = window->sdl->vsync ? SDL_RENDERER_PRESENTVSYNC : 0;
    SDL_Renderer *renderer = SDL(CreateRenderer)(window->window, -1, sync);

    if (renderer && is_slow_gl(renderer)) {
        SDL(DestroyRenderer)(renderer);
        renderer = SDL(CreateRenderer)(window->window, -1, SDL_RENDERER_SOFTWARE);
    }
    return renderer;
}

SdlWindow *sdl_window_new(Sdl *sdl, Display *home, unsigned index, GError **error)
{
    SdlWindow *window = g_new0(SdlWindow, 1);
    Uint32 flags = SDL_WINDOW_RESIZABLE | SDL_WINDOW_ALLOW_HIGHDPI | SDL_WINDOW_HIDDEN;

    window->sdl = sdl;
    window->home = home;
    window->hidden = true;
    window->width = 640;
    window->height = 480;
    window->listener = (DisplayListener){ tell_surface,   tell_damage, tell_cursor,
                                          tell_refreshed, tell_gone,   SDL_PACE_MS };
    pixman_region32_init(&window->changed);
    seat_init(&window->seat, sdl->machine);
    window->window = SDL(CreateWindow)("Kaso", SDL_WINDOWPOS_UNDEFINED, SDL_WINDOWPOS_UNDEFINED,
                                       640, 480, flags);
    window->renderer = window->window ? make_renderer(window) : NULL;
    if (!window->renderer) {
        error_fail(error, KASO_ERROR_IO, "cannot open a window: %s", SDL(GetError)());
        sdl_window_free(window);
        return NULL;
    }
    if (index == 0) {
        window->hidden = false;
        SDL(ShowWindow)(window->window);
    }
    return window;
}

void sdl_window_free(SdlWindow *window)
{
    if (window->display) {
        display_remove_listener(window->display, &window->listener);
    }
    g_clear_handle_id(&window->wish, g_source_remove);
    if (!window->sdl->lost) {
        drop_texture(window);
        if (window->cursor_texture) {
            SDL(DestroyTexture)(window->cursor_texture);
        }
        if (window->cursor) {
            SDL(FreeCursor)(window->cursor);
        }
        if (window->renderer) {
            SDL(DestroyRenderer)(window->renderer);
        }
        if (window->window) {
            SDL(DestroyWindow)(window->window);
        }
    }
    pixman_region32_fini(&window->changed);
    g_free(window->title);
    g_free(window);
}

void sdl_window_show(SdlWindow *window, Display *display)
{
    if (window->display == display) {
        return;
    }
    if (window->display) {
        display_remove_listener(window->display, &window->listener);
    }
    seat_set_display(&window->seat, display);
    window->display = display;
    if (display && display_takes_text(display)) {
        sdl_window_grab(window, false);
        SDL(StartTextInput)();
    } else {
        SDL(StopTextInput)();
    }
    if (display) {
        display_add_listener(display, &window->listener);
        display_refresh(display);
        tell_refreshed(&window->listener);
    }
}

void sdl_window_set_title(SdlWindow *window)
{
    static const char *const grabs[] = { "Ctrl-Alt-G", "Shift-Ctrl-Alt-G", "Right Ctrl-G" };
    Machine *machine = window->sdl->machine;
    g_autofree char *plain = seat_title(machine, window->display);
    GString *title = g_string_new(plain);

    if (!machine_running(machine)) {
        g_string_append(title, " - paused");
    }
    if (window->grabbed) {
        g_string_append_printf(title, " - %s releases the mouse", grabs[window->sdl->grab_mod]);
    }
    if (g_strcmp0(title->str, window->title) != 0) {
        SDL(SetWindowTitle)(window->window, title->str);
        g_free(window->title);
        window->title = g_strdup(title->str);
    }
    g_string_free(title, true);
}

/* Whole steps where those nearly fill the window, else as large as fits. */
SdlPlace sdl_window_place(const SdlWindow *window)
{
    int width, height;
    double scale, whole;

    SDL(GetRendererOutputSize)(window->renderer, &width, &height);
    scale = MIN((double)width / window->width, (double)height / window->height);
    whole = floor(scale);
    if (whole >= 1 && scale - whole < 0.05) {
        scale = whole;
    }
    return (SdlPlace){ floor((width - window->width * scale) / 2),
                       floor((height - window->height * scale) / 2), scale };
}

/* Where the guest's pointer is drawn by us. false: nowhere. */
static bool place_cursor(SdlWindow *window, const SdlPlace *place, SDL_Rect *to)
{
    const DisplayCursor *cursor;
    bool shown = false;

    machine_lock(window->sdl->machine);
    cursor = window->display ? display_cursor(window->display) : NULL;
    if (cursor && window->cursor_texture && cursor->shown && cursor->image) {
        *to = (SDL_Rect){ (int)(place->x + (cursor->x - cursor->hot_x) * place->scale),
                          (int)(place->y + (cursor->y - cursor->hot_y) * place->scale),
                          (int)(pixman_image_get_width(cursor->image) * place->scale),
                          (int)(pixman_image_get_height(cursor->image) * place->scale) };
        shown = true;
    }
    machine_unlock(window->sdl->machine);
    return shown;
}

typedef struct {
    SdlWindow *window;
    SdlPlace place;
    SDL_Rect cursor;
    bool has_cursor;
} Picture;

static void find_place(void *opaque)
{
    Picture *picture = opaque;

    picture->place = sdl_window_place(picture->window);
}

static void draw(void *opaque)
{
    const Picture *picture = opaque;
    const SdlWindow *window = picture->window;
    const SdlPlace *place = &picture->place;
    SDL_Rect to = { (int)place->x, (int)place->y, (int)(window->width * place->scale),
                    (int)(window->height * place->scale) };

    SDL(SetRenderDrawColor)(window->renderer, 0, 0, 0, 255);
    SDL(RenderClear)(window->renderer);
    if (window->texture) {
        SDL(SetTextureScaleMode)
        (window->texture,
         place->scale == floor(place->scale) ? SDL_ScaleModeNearest : SDL_ScaleModeLinear);
        SDL(RenderCopy)(window->renderer, window->texture, NULL, &to);
    }
    if (picture->has_cursor) {
        SDL(RenderCopy)(window->renderer, window->cursor_texture, NULL, &picture->cursor);
    }
    SDL(RenderPresent)(window->renderer);
}

bool sdl_window_present(SdlWindow *window)
{
    Picture picture = { .window = window };

    if (!window->dirty || window->hidden) {
        return false;
    }
    window->dirty = false;
    if (sdl_guard(window->sdl, find_place, &picture)) {
        picture.has_cursor = place_cursor(window, &picture.place, &picture.cursor);
        sdl_guard(window->sdl, draw, &picture);
    }
    return true;
}

void sdl_window_set_full_screen(SdlWindow *window, bool full_screen)
{
    window->full_screen = full_screen;
    SDL(SetWindowFullscreen)(window->window, full_screen ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0);
    window->dirty = true;
}

/* Pixels of the screen to units of windows, which are larger on dense screens. */
static double density(const SdlWindow *window)
{
    int pixels, units;

    SDL(GetRendererOutputSize)(window->renderer, &pixels, NULL);
    SDL(GetWindowSize)(window->window, &units, NULL);
    return units > 0 && pixels > 0 ? (double)pixels / units : 1;
}

void sdl_window_zoom(SdlWindow *window, double zoom)
{
    double dense = density(window);

    SDL(SetWindowSize)
    (window->window, (int)lround(window->width * zoom / dense),
     (int)lround(window->height * zoom / dense));
    window->dirty = true;
}

typedef struct {
    SdlWindow *window;
    DisplayInfo info;
} Wish;

static void measure(void *opaque)
{
    Wish *wish = opaque;
    DisplayInfo *info = &wish->info;
    float dpi = 0;

    SDL(GetRendererOutputSize)(wish->window->renderer, &info->width, &info->height);
    SDL(GetDisplayDPI)(SDL(GetWindowDisplayIndex)(wish->window->window), &dpi, NULL, NULL);
    if (dpi > 0) {
        info->width_mm = (int)lround(info->width * 25.4 / dpi);
        info->height_mm = (int)lround(info->height * 25.4 / dpi);
    }
}

static gboolean tell_wish(gpointer opaque)
{
    SdlWindow *window = opaque;
    Wish wish = { .window = window };

    window->wish = 0;
    machine_lock(window->sdl->machine);
    if (sdl_guard(window->sdl, measure, &wish) && window->display) {
        display_wish(window->display, &wish.info);
    }
    machine_unlock(window->sdl->machine);
    return G_SOURCE_REMOVE;
}

void sdl_window_resized(SdlWindow *window, bool by_user)
{
    int width, height;

    window->dirty = true;
    SDL(GetRendererOutputSize)(window->renderer, &width, &height);
    if (!by_user || !window->display || (width == window->width && height == window->height)) {
        window->sized_by_user &= !(width == window->width && height == window->height);
        return;
    }
    window->sized_by_user = true;
    if (display_can_wish(window->display)) {
        g_clear_handle_id(&window->wish, g_source_remove);
        window->wish = g_timeout_add(SDL_WISH_MS, tell_wish, window);
    }
}

/* Pointers. */

void sdl_window_grab(SdlWindow *window, bool grabbed)
{
    if (window->grabbed != grabbed) {
        window->grabbed = grabbed;
        SDL(SetRelativeMouseMode)(grabbed && !seat_is_absolute(&window->seat));
        SDL(SetWindowGrab)(window->window, grabbed);
        SDL(SetWindowKeyboardGrab)(window->window, grabbed);
        sdl_window_set_title(window);
        sdl_window_update_cursor(window);
    }
}

static SDL_Surface *wrap_cursor(const DisplayCursor *cursor)
{
    return SDL(CreateRGBSurfaceWithFormatFrom)(
        pixman_image_get_data(cursor->image), pixman_image_get_width(cursor->image),
        pixman_image_get_height(cursor->image), 32, pixman_image_get_stride(cursor->image),
        SDL_PIXELFORMAT_ARGB8888);
}

static void drop_cursors(SdlWindow *window)
{
    if (window->cursor_texture) {
        SDL(DestroyTexture)(window->cursor_texture);
        window->cursor_texture = NULL;
    }
    if (window->cursor) {
        SDL(SetCursor)(SDL(GetDefaultCursor)());
        SDL(FreeCursor)(window->cursor);
        window->cursor = NULL;
    }
}

/*
 * The guest's pointer is the host's where the guest has a tablet, so it never lags behind the hand; where it has a mouse, it
 * is drawn over the picture.
 */
void sdl_window_update_cursor(SdlWindow *window)
{
    const DisplayCursor *cursor = window->display ? display_cursor(window->display) : NULL;
    bool text = seat_takes_text(&window->seat), absolute = seat_is_absolute(&window->seat);
    bool own = cursor && cursor->image && cursor->shown;
    SDL_Surface *surface;

    drop_cursors(window);
    window->dirty = true;
    surface = own ? wrap_cursor(cursor) : NULL;
    if (surface && absolute) {
        window->cursor = SDL(CreateColorCursor)(surface, cursor->hot_x, cursor->hot_y);
        SDL(SetCursor)(window->cursor);
    } else if (surface) {
        window->cursor_texture = SDL(CreateTextureFromSurface)(window->renderer, surface);
    }
    if (surface) {
        SDL(FreeSurface)(surface);
    }
    SDL(ShowCursor)
    (text || window->cursor || window->sdl->show_cursor || !(absolute || window->grabbed)
         ? SDL_ENABLE
         : SDL_DISABLE);
}

bool sdl_window_save(SdlWindow *window, char **path, GError **error)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_local();
    g_autofree char *name = g_date_time_format(now, "kaso-%Y%m%d-%H%M%S.png");
    pixman_image_t *image = display_look(window->display);
    bool ok = image_file_write(image, IMAGE_FILE_PNG, name, error);

    pixman_image_unref(image);
    *path = g_steal_pointer(&name);
    return ok;
}
