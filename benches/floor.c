/* floor: what one container costs if nobody but the kernel works.
 *
 * The same steps that minidock takes for `run --rm --network none alpine true`, by bare system calls in one process: folders,
 * cgroup with limits, clone3 of all namespaces, overlay, pivot_root, the usual mounts, masks, capabilities, no_new_privs, a small
 * seccomp filter, execve, wait, remove the cgroup. As minidock does it for --rm, the overlay is volatile (nobody waits for the
 * disk), and the empty folders are deleted when all is over. Prints the median of N rounds in microseconds. No error is hidden: a
 * step that fails ends the program.
 *
 *   floor LOWER WORKDIR ROUNDS      LOWER: an unpacked image with /bin/true; WORKDIR: an empty folder on the disk to be measured
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void must(int ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
		_exit(1);
	}
}

static const char *controllers[] = {"memory", "pids", "cpu", "cpuset", "devices", "freezer", "blkio"};
static int v1, count;
static int self; /* its number out here, for names: within it would be 1 */

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	must(fd >= 0 && write(fd, text, strlen(text)) >= 0, path);
	close(fd);
}

static void copy(const char *from, const char *to)
{
	char text[256];
	int fd = open(from, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof text - 1);
	must(n >= 0, from);
	text[n] = 0;
	close(fd);
	put(to, text);
}

static void cgroup(char *path, size_t size, int i, int round)
{
	if (v1)
		snprintf(path, size, "/sys/fs/cgroup/%s/minidock-floor-%d-%d", controllers[i], self, round);
	else
		snprintf(path, size, "/sys/fs/cgroup/minidock-floor-%d-%d", self, round);
}

static void cgroups_make(int round)
{
	char path[256], file[512], from[256];
	for (int i = 0; i < count; i++) {
		cgroup(path, sizeof path, i, round);
		must(mkdir(path, 0755) == 0, path);
		snprintf(file, sizeof file, "%s/pids.max", path);
		if (!v1 || !strcmp(controllers[i], "pids"))
			if (access(file, W_OK) == 0)
				put(file, "100");
		if (v1 && !strcmp(controllers[i], "cpuset")) {
			snprintf(file, sizeof file, "%s/cpuset.cpus", path);
			copy("/sys/fs/cgroup/cpuset/cpuset.cpus", file);
			snprintf(file, sizeof file, "%s/cpuset.mems", path);
			snprintf(from, sizeof from, "/sys/fs/cgroup/cpuset/cpuset.mems");
			copy(from, file);
		}
	}
}

static void child(const char *lower, const char *work, int round)
{
	char text[4096], file[1024], path[256];
	for (int i = 0; i < count; i++) {
		cgroup(path, sizeof path, i, round);
		snprintf(file, sizeof file, v1 ? "%s/tasks" : "%s/cgroup.procs", path);
		put(file, "0");
	}
	must(mount("", "/", "", MS_REC | MS_PRIVATE, 0) == 0, "private /");
	snprintf(text, sizeof text, "lowerdir=%s,upperdir=%s/diff,workdir=%s/work,volatile", lower, work, work);
	snprintf(file, sizeof file, "%s/root", work);
	must(mount("overlay", file, "overlay", 0, text) == 0, "overlay");
	must(chdir(file) == 0, "chdir");
	mkdir("proc", 0555), mkdir("sys", 0555), mkdir("dev", 0755);
	must(mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, 0) == 0, "proc");
	must(mount("tmpfs", "dev", "tmpfs", MS_NOSUID, "mode=755,size=65536k") == 0, "dev");
	mkdir("dev/pts", 0755), mkdir("dev/shm", 0755), mkdir("dev/mqueue", 0755);
	must(mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5") == 0, "pts");
	must(mount("sysfs", "sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, 0) == 0, "sys");
	must(mount("mqueue", "dev/mqueue", "mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, 0) == 0, "mqueue");
	must(mount("shm", "dev/shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=1777,size=67108864") == 0, "shm");
	const char *nodes[] = {"null", "zero", "full", "random", "urandom", "tty"};
	const int numbers[] = {0x103, 0x105, 0x107, 0x108, 0x109, 0x500};
	for (int i = 0; i < 6; i++) {
		snprintf(file, sizeof file, "dev/%s", nodes[i]);
		must(mknod(file, S_IFCHR | 0666, makedev(numbers[i] >> 8, numbers[i] & 0xff)) == 0, file);
	}
	must(symlink("/proc/self/fd", "dev/fd") == 0 && symlink("pts/ptmx", "dev/ptmx") == 0, "links");
	must(syscall(SYS_pivot_root, ".", ".") == 0 && umount2(".", MNT_DETACH) == 0, "pivot_root");
	const char *masked[] = {"/proc/kcore", "/proc/keys", "/proc/timer_list"};
	for (int i = 0; i < 3; i++)
		mount("/dev/null", masked[i], 0, MS_BIND, 0);
	mount("tmpfs", "/sys/firmware", "tmpfs", MS_RDONLY, 0);
	const char *fixed[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
	for (int i = 0; i < 5; i++)
		if (mount(fixed[i], fixed[i], 0, MS_BIND | MS_REC, 0) == 0)
			mount(0, fixed[i], 0, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, 0);
	must(sethostname("floor", 5) == 0, "hostname");
	for (int cap = 0; cap < 41; cap++)
		if (!(0xa80425fbULL >> cap & 1))
			prctl(PR_CAPBSET_DROP, cap);
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
	struct sock_filter code[512];
	int n = 0;
	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0);
	for (; n < 400; n += 1)
		code[n] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1000 + n, 0, 0);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog filter = {n, code};
	must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0, "seccomp");
	execl("/bin/true", "true", (char *)0);
	must(0, "execve");
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	must(argc == 4, "usage: floor LOWER WORKDIR ROUNDS");
	self = getpid();
	int rounds = atoi(argv[3]);
	double *took = calloc(rounds, sizeof *took);
	char work[512], path[1024];
	v1 = access("/sys/fs/cgroup/pids", F_OK) == 0;
	count = v1 ? sizeof controllers / sizeof *controllers : 1;
	for (int round = 0; round < rounds; round++) {
		struct timespec a, b;
		clock_gettime(CLOCK_MONOTONIC, &a);
		snprintf(work, sizeof work, "%s/%d", argv[2], round);
		mkdir(work, 0700);
		const char *parts[] = {"diff", "work", "root"};
		for (int i = 0; i < 3; i++) {
			snprintf(path, sizeof path, "%s/%s", work, parts[i]);
			must(mkdir(path, 0755) == 0, path);
		}
		cgroups_make(round);
		struct clone_args args = {.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS, .exit_signal = SIGCHLD};
		long pid = syscall(SYS_clone3, &args, sizeof args);
		must(pid >= 0, "clone3");
		if (pid == 0)
			child(argv[1], work, round);
		int status;
		must(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child");
		for (int i = 0; i < count; i++) {
			cgroup(path, sizeof path, i, round);
			rmdir(path);
		}
		clock_gettime(CLOCK_MONOTONIC, &b);
		took[round] = (b.tv_sec - a.tv_sec) * 1e6 + (b.tv_nsec - a.tv_nsec) / 1e3;
	}
	const char *rest[] = {"work/work/incompat/volatile/dirty", "work/work/incompat/volatile", "work/work/incompat", "work/work",
			      "work", "diff/proc", "diff/sys", "diff/dev", "diff", "root", ""};
	for (int round = 0; round < rounds; round++)
		for (unsigned i = 0; i < sizeof rest / sizeof *rest; i++) {
			snprintf(path, sizeof path, "%s/%d/%s", argv[2], round, rest[i]);
			if (rmdir(path) != 0)
				unlink(path);
		}
	qsort(took, rounds, sizeof *took, by_size);
	printf("%.0f\n", took[rounds / 2]);
	return 0;
}
