/* A host in C99 over the installed ms.h alone: options as arguments (key=value), questions as lines
 * of its input, one line of answer each. The test beside it drives it. */
#define _POSIX_C_SOURCE 200809L
#include <mission_signals/ms.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef CONFLICT
/* Another copy of a library that ours has inside: were ours to call it, the process would end. */
#define CONFLICTING(n, symbol)                                               \
    void conflicting_##n(void) __asm__(symbol);                              \
    void conflicting_##n(void) {                                             \
        static const char text[] = "a symbol of the host has been called\n"; \
        if (write(2, text, sizeof(text) - 1) < 0) abort();                   \
        abort();                                                             \
    }
CONFLICT
#endif

static pthread_mutex_t output = PTHREAD_MUTEX_INITIALIZER;
static int freed = 0, jobs = 0, logged = 0;

static void line(const char* first, const char* second) {
    pthread_mutex_lock(&output);
    printf("%s %s\n", first, second);
    fflush(stdout);
    pthread_mutex_unlock(&output);
}

static void log_line(void* user, ms_log_level level, const char* message,
                     const ms_log_field* fields, size_t field_count) {
    size_t i;
    (void)user;
    __atomic_add_fetch(&logged, 1, __ATOMIC_RELAXED);
    fprintf(stderr, "[%d] %s", (int)level, message);
    for (i = 0; i < field_count; ++i)
        fprintf(stderr, " %s=%s", fields[i].name, fields[i].value);
    fputc('\n', stderr);
}

static void count_free(void* user) {
    ++*(int*)user;
}

static void* run_job(void* job) {
    ms_job_run((ms_job*)job);
    return NULL;
}

/* The host's executor: a thread per job. */
static void run(void* user, ms_job* job) {
    pthread_t thread;
    __atomic_add_fetch((int*)user, 1, __ATOMIC_RELAXED);
    if (pthread_create(&thread, NULL, run_job, job) == 0)
        pthread_detach(thread);
    else
        ms_job_drop(job);
}

static ms_receiver* rx = NULL;

static void teardown(void* user, const ms_task* task, ms_outcome* outcome) {
    char text[512];
    (void)user;
    snprintf(text, sizeof(text), "%s %s %s %.*s attempt=%u stop=%d", ms_effect_name(task->why),
             task->mission_id, task->name, (int)task->data_length, task->data,
             (unsigned)task->attempt, (int)ms_receiver_stop(rx));
    if (task->attempt == 1) {
        line("task", text);
        return; /* says nothing: unknown, and called again */
    }
    line("task", text);
    ms_outcome_done(outcome, "destroyed by a host in C");
}

static void on_change(void* user, const ms_mission* m, ms_effect effect) {
    (void)user;
    (void)m;
    (void)effect;
}

static int print_task(void* user, const ms_task_view* t) {
    char text[1024];
    (void)user;
    snprintf(text, sizeof(text), "%s %s %s finished=%d %s", t->handler, t->task->name,
             ms_outcome_name(t->last), (int)t->finished, t->evidence);
    line("task_view", text);
    return 0;
}

static void print_status(void* user, const ms_status* s) {
    char text[256];
    (void)user;
    snprintf(text, sizeof(text), "streaming=%d aud=%s received=%lu", (int)s->streaming, s->aud,
             (unsigned long)s->sets_received);
    line("status", text);
}

static void print_confirmation(void* user, const ms_confirmation* c) {
    char text[512];
    snprintf(
        text, sizeof(text), "permitted=%d state=%s version=%ld read=%d error=%s", (int)c->permitted,
        c->state, (long)c->version,
        c->authority ? ms_authority_permits(c->authority, (const char*)user, "invoices.read") : 0,
        c->error);
    line("confirmed", text);
}

static void print_answer(void* user, const ms_answer* a) {
    (void)user;
    line("resolved", ms_standing_name(a->standing));
}

static int print_mission(void* user, const ms_mission* m) {
    (void)user;
    line("mission", m->state);
    return 0;
}

/* In a child: everything denies, at once, and nothing hangs. The exit status tells. */
static int child(const char* id) {
    ms_answer a = MS_ANSWER_INIT;
    alarm(20);
    if (ms_check(rx, id, &a) != 0 || a.standing != MS_STANDING_UNKNOWN) return 10;
    if (ms_permits(rx, id, "https://erp.example", "invoices.read", NULL) != 0) return 11;
    if (ms_resolve(rx, id, 10000, NULL) != 0) return 12;
    if (ms_hold(rx, id, "in-the-child", NULL, 0) != MS_E_FORKED) return 13;
    if (ms_tasks(rx, 0, print_task, NULL) != MS_E_FORKED) return 14;
    if (ms_confirm(rx, id, 10000, NULL, NULL) != 0) return 15;
    if (ms_receiver_stop(rx) != MS_OK || ms_receiver_free(rx) != MS_OK) return 16;
    return 0;
}

static void answer(char* command) {
    char *word = strtok(command, " \n"), *id = strtok(NULL, " \n"), *third = strtok(NULL, " \n"),
         *fourth = strtok(NULL, " \n");
    char text[256];
    if (word == NULL) return;
    if (strcmp(word, "check") == 0) {
        ms_answer a = MS_ANSWER_INIT;
        const int permitted = ms_check(rx, id, &a);
        snprintf(text, sizeof(text), "%d %s %ld %s", permitted, ms_standing_name(a.standing),
                 (long)a.version, ms_reason(&a));
        line("checked", text);
    } else if (strcmp(word, "resolve") == 0) {
        ms_answer a = MS_ANSWER_INIT;
        (void)ms_resolve(rx, id, 10000, &a);
        line("resolved", ms_standing_name(a.standing));
    } else if (strcmp(word, "resolve_async") == 0) {
        if (ms_resolve_async(rx, id, MS_RESOLVE_FORCE, print_answer, NULL) != MS_OK)
            line("failed", ms_error());
    } else if (strcmp(word, "permits") == 0) {
        ms_permission p = MS_PERMISSION_INIT;
        const int permitted = ms_permits(rx, id, third, fourth, &p);
        snprintf(text, sizeof(text), "%d grant=%d", permitted, (int)p.grant);
        line("permits", text);
    } else if (strcmp(word, "confirm") == 0) {
        if (ms_confirm(rx, id, 10000, print_confirmation, third) < 0) line("failed", ms_error());
    } else if (strcmp(word, "view") == 0) {
        if (ms_mission_view(rx, id, print_mission, NULL) != MS_OK) line("failed", ms_error());
    } else if (strcmp(word, "hold") == 0) {
        const ms_result r = ms_hold(rx, id, third, fourth, fourth ? strlen(fourth) : 0);
        line(r == MS_OK ? "held" : "failed", r == MS_OK ? third : ms_error());
    } else if (strcmp(word, "tasks") == 0) {
        (void)ms_tasks(rx, 0, print_task, NULL);
        line("done", "tasks");
    } else if (strcmp(word, "status") == 0) {
        (void)ms_status_get(rx, print_status, NULL);
    } else if (strcmp(word, "fork") == 0) {
        int code = -1;
        const pid_t pid = fork();
        if (pid == 0) _exit(child(id));
        (void)waitpid(pid, &code, 0);
        snprintf(text, sizeof(text), "%d", WIFEXITED(code) ? WEXITSTATUS(code) : -1);
        line("child", text);
    } else {
        line("unknown", word);
    }
}

/* What must not work, and says why. */
static int refusals(void) {
    ms_options* o = ms_options_new();
    ms_receiver* none = NULL;
    ms_version_info v = MS_VERSION_INFO_INIT;
    if (o == NULL || ms_abi_version() >> 16 != MS_ABI_MAJOR) return 1;
    if (ms_version(&v) != MS_OK || v.abi_minor < MS_ABI_MINOR) return 2;
    if (ms_options_set(o, "isuer", "x") != MS_E_ARGUMENT || !strstr(ms_error(), "isuer")) return 3;
    if (ms_options_set(o, "worker_threads", "many") != MS_E_ARGUMENT) return 4;
    if (ms_receiver_new(o, &none) != MS_E_SETUP || none != NULL) return 5;
    if (!strstr(ms_error(), "issuer")) return 6;
    if (ms_check(NULL, "x", NULL) != 0 || ms_check(none, NULL, NULL) != 0) return 7;
    if (ms_hold(NULL, "x", "y", NULL, 0) != MS_E_ARGUMENT) return 8;
    if (strcmp(ms_standing_name(99), "unknown") != 0) return 9;
    ms_options_free(o);
    ms_options_free(NULL);
    return ms_receiver_free(NULL) == MS_OK ? 0 : 10;
}

int main(int argc, char** argv) {
    char input[1024];
    int i, user = 0;
    ms_handler_options h = MS_HANDLER_OPTIONS_INIT;
    ms_options* o = ms_options_new();
    if ((i = refusals()) != 0) {
        fprintf(stderr, "refusals: %d %s\n", i, ms_error());
        return 2;
    }
    for (i = 1; i < argc; ++i) {
        char* value = strchr(argv[i], '=');
        if (value == NULL) return 2;
        *value++ = '\0';
        if (ms_options_set(o, argv[i], value) != MS_OK) {
            fprintf(stderr, "%s\n", ms_error());
            return 2;
        }
    }
    ms_options_on_log(o, log_line, NULL, NULL);
    ms_options_on_run(o, run, &jobs, NULL);
    if (ms_receiver_new(o, &rx) != MS_OK) {
        fprintf(stderr, "%s\n", ms_error());
        return 2;
    }
    ms_options_free(o);
    h.name = "destroy";
    h.on = MS_ON_END;
    h.retry_first_ms = 10;
    if (ms_on_effect(rx, &h, teardown, &freed, count_free) != MS_OK) return 3;
    if (ms_on_change(rx, on_change, &freed, count_free) != MS_OK) return 3;
    /* A name for the second time: refused, and its user is let go of. */
    if (ms_on_effect(rx, &h, teardown, &user, count_free) != MS_E_SETUP || user != 1) return 4;
    h.name = "nothing";
    h.on = 0;
    if (ms_on_effect(rx, &h, teardown, NULL, NULL) != MS_E_ARGUMENT) return 5;
    if (ms_receiver_start(rx) != MS_OK) {
        fprintf(stderr, "%s\n", ms_error());
        return 6;
    }
    line("live", ms_receiver_wait_live(rx, 20000) == MS_OK ? "yes" : ms_error());
    while (fgets(input, sizeof(input), stdin) != NULL)
        answer(input);
    if (ms_receiver_stop(rx) != MS_OK) return 7;
    if (ms_check(rx, "msn_8RfX2Lqv9TqMv4z7sA2bN1k0YpEdHc9-", NULL) != 0) return 8;
    if (ms_receiver_free(rx) != MS_OK || freed != 2) return 9;
    if (logged == 0 || __atomic_load_n(&jobs, __ATOMIC_RELAXED) == 0) return 10;
    line("freed", "2");
    return 0;
}
