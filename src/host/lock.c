/* SPDX-License-Identifier: Apache-2.0 */
/* flock() on a file beside the one that is meant, which is itself replaced by renaming. */
#define _GNU_SOURCE /* flock */
#include "host/lock.h"

#include "base/error.h"
#include "host/alloc.h"
#include <insitu/host.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whether the locked file is still the one of that name: its last holder may have removed it in between. */
static int is_current(const isgi_lock *lock)
{
    struct stat held, named;
    return fstat(lock->fd, &held) == 0 && stat(lock->path, &named) == 0 && held.st_dev == named.st_dev &&
           held.st_ino == named.st_ino;
}

static isg_status give_up(isgi_lock *lock, isg_status status)
{
    if (lock->fd >= 0) close(lock->fd);
    isg_free(lock->path);
    lock->path = NULL;
    return status;
}

isg_status isgi_lock_take(isgi_lock *lock, const char *path, isg_error *err)
{
    char shown[160], *target;
    size_t n;
    lock->fd = -1;
    lock->path = NULL;
    ISGI_TRY(isg_path_resolve(&target, path, err)); /* two links to one file are one lock */
    n = strlen(target);
    lock->path = isgi_malloc(n + sizeof ".lock");
    if (lock->path) {
        memcpy(lock->path, target, n);
        memcpy(lock->path + n, ".lock", sizeof ".lock");
    }
    isg_free(target);
    if (!lock->path) return isgi_nomem(err);
    for (;;) {
        lock->fd = open(lock->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (lock->fd < 0) return give_up(lock, isgi_fail_errno(err, lock->path));
        if (flock(lock->fd, LOCK_EX | LOCK_NB) != 0) {
            if (errno == EINTR) {
                close(lock->fd);
                continue;
            }
            if (errno != EWOULDBLOCK) return give_up(lock, ISG_OK);
            return give_up(lock, isgi_fail(err, ISG_E_IO, "%s: another run is writing it",
                                           isgi_escape(shown, sizeof shown, path)));
        }
        if (is_current(lock)) return ISG_OK;
        close(lock->fd);
    }
}

void isgi_lock_release(isgi_lock *lock)
{
    if (!lock->path) return;
    unlink(lock->path);
    close(lock->fd);
    isg_free(lock->path);
    lock->path = NULL;
}
