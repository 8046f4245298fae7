/* SPDX-License-Identifier: Apache-2.0 */
/* Replacing a file so that a reader, a crash or a full disk sees the old content or the new, never a part. */
#include <errno.h>
#include <fcntl.h>
#include <insitu/host.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "host/alloc.h"
#include "host/place.h"

#define WRITE_BUFFER ((size_t)1 << 16)
#define NAME_TRIES 100u

struct isg_writer {
    char *path;   /* what is replaced: the target of a link, never the link */
    char *temp;   /* NULL when `path` is a device, a pipe or a descriptor, which is written directly */
    char *folder; /* of path */
    int fd;
    int failed; /* a write was refused: commit must not pretend */
    size_t used;
    uint8_t buffer[WRITE_BUFFER];
};

static void writer_free(isg_writer *w)
{
    if (!w) return;
    if (w->fd >= 0) close(w->fd);
    if (w->temp) unlink(w->temp);
    isg_free(w->path);
    isg_free(w->temp);
    isg_free(w->folder);
    isg_free(w);
}

/* Creating with mode 0666 under O_EXCL lets the kernel apply the umask, which a program cannot read without a race. */
static isg_status create_temp(isg_writer *w, isg_error *err)
{
    const char *slash = strrchr(w->path, '/');
    const char *base = slash ? slash + 1 : w->path;
    const size_t bytes = strlen(w->path) + 64;
    w->folder = slash ? isgi_strndup(w->path, slash == w->path ? 1 : (size_t)(slash - w->path)) : isgi_strdup(".");
    w->temp = isgi_malloc(bytes);
    if (!w->folder || !w->temp) {
        isg_free(w->temp);
        w->temp = NULL;
        return isgi_nomem(err);
    }
    for (unsigned i = 0; i < NAME_TRIES; i++) {
        const unsigned long long mark = (unsigned long long)isg_host_nanoseconds();
        snprintf(w->temp, bytes, "%.*s.%.100s.%ld.%llx.tmp", (int)(base - w->path), w->path, base, (long)getpid(),
                 mark + i);
        w->fd = open(w->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (w->fd >= 0) return ISG_OK;
        if (errno != EEXIST) break;
    }
    isg_free(w->temp); /* not ours: nothing to unlink */
    w->temp = NULL;
    return isgi_fail_errno(err, w->path);
}

isg_status isg_writer_open(isg_writer **out, const char *path, isg_error *err)
{
    isg_status status;
    struct stat info;
    isg_writer *w;
    int exists, descriptor;

    *out = NULL;
    w = isgi_malloc(sizeof *w);
    if (!w) return isgi_nomem(err);
    w->path = w->temp = w->folder = NULL;
    w->fd = -1;
    w->failed = 0;
    w->used = 0;
    exists = stat(path, &info) == 0;
    descriptor = isg_path_descriptor(path);
    if (descriptor >= 0) { /* opened anew, a file behind it would be written from its beginning */
        w->path = isgi_strdup(path);
        const int flags = fcntl(descriptor, F_GETFL);
        errno = EBADF;
        if (flags >= 0 && (flags & O_ACCMODE) != O_RDONLY) w->fd = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
        status = !w->path ? isgi_nomem(err) : w->fd < 0 ? isgi_fail_errno(err, path) : ISG_OK;
    } else if (exists && S_ISDIR(info.st_mode)) {
        errno = EISDIR;
        status = isgi_fail_errno(err, path);
    } else if (exists && !S_ISREG(info.st_mode)) {
        w->path = isgi_strdup(path);
        w->fd = open(path, O_WRONLY | O_CLOEXEC);
        status = !w->path ? isgi_nomem(err) : w->fd < 0 ? isgi_fail_errno(err, path) : ISG_OK;
    } else {
        status = isg_path_resolve(&w->path, path, err); /* the file is replaced and a link to it stays */
        if (status == ISG_OK) status = create_temp(w, err);
        if (status == ISG_OK && exists && fchmod(w->fd, info.st_mode & 0777) != 0) status = isgi_fail_errno(err, path);
    }
    if (status != ISG_OK) {
        writer_free(w);
        return status;
    }
    *out = w;
    return ISG_OK;
}

static isg_status write_all(isg_writer *w, const uint8_t *p, size_t bytes, isg_error *err)
{
    while (bytes) {
        const size_t step = bytes < ((size_t)1 << 30) ? bytes : (size_t)1 << 30;
        const ssize_t put = write(w->fd, p, step);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) {
            w->failed = 1;
            return isgi_fail_errno(err, w->path);
        }
        p += put;
        bytes -= (size_t)put;
    }
    return ISG_OK;
}

isg_status isg_writer_write(isg_writer *w, const void *data, size_t bytes, isg_error *err)
{
    if (bytes > WRITE_BUFFER - w->used) {
        isg_status status = write_all(w, w->buffer, w->used, err);
        w->used = 0;
        if (status != ISG_OK) return status;
        if (bytes >= WRITE_BUFFER) return write_all(w, data, bytes, err);
    }
    if (bytes) memcpy(w->buffer + w->used, data, bytes);
    w->used += bytes;
    return ISG_OK;
}

isg_status isg_writer_flush(isg_writer *w, isg_error *err)
{
    const size_t used = w->used;
    if (w->failed) return isgi_fail(err, ISG_E_IO, "%s: an earlier write failed", w->path);
    w->used = 0;
    ISGI_TRY(write_all(w, w->buffer, used, err));
    if (!w->temp || fsync(w->fd) == 0) return ISG_OK;
    w->failed = 1; /* the kernel tells it once: a second fsync may succeed without the bytes */
    return isgi_fail_errno(err, w->path);
}

/* A folder that may be searched but not opened is left alone; a folder whose sync fails is reported. */
static isg_status sync_folder(const isg_writer *w, isg_error *err)
{
    isg_status status = ISG_OK;
    int fd = open(w->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return ISG_OK;
    if (fsync(fd) != 0 && errno != EINVAL && errno != ENOTSUP) status = isgi_fail_errno(err, w->folder);
    close(fd);
    return status;
}

isg_status isg_writer_commit(isg_writer *w, isg_error *err)
{
    int fd;
    isg_status status = isg_writer_flush(w, err);
    if (status != ISG_OK) goto done;
    fd = w->fd;
    w->fd = -1;
    if (close(fd) != 0) {
        status = isgi_fail_errno(err, w->path);
        goto done;
    }
    if (w->temp) {
        if (rename(w->temp, w->path) != 0) {
            status = isgi_fail_errno(err, w->path);
            goto done;
        }
        isg_free(w->temp);
        w->temp = NULL;
        status = sync_folder(w, err);
    }
done:
    writer_free(w);
    return status;
}

void isg_writer_abort(isg_writer *w)
{
    writer_free(w);
}

isg_status isg_write_file(const char *path, const void *data, size_t bytes, isg_error *err)
{
    isg_writer *w;
    isg_status status = isg_writer_open(&w, path, err);
    if (status != ISG_OK) return status;
    status = isg_writer_write(w, data, bytes, err);
    if (status != ISG_OK) {
        isg_writer_abort(w);
        return status;
    }
    return isg_writer_commit(w, err);
}
