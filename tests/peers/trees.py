"""Compares two file trees as a container would see them: kind, mode, owner, time, content, links, devices, attributes.
Prints what differs; exits 1 if anything does."""
import hashlib, os, stat, sys


def facts(root):
    found, inodes = {}, {}
    for folder, folders, files in os.walk(root):
        for name in folders + files + (["."] if folder == root else []):
            path = os.path.join(folder, name)
            s, where = os.lstat(path), os.path.relpath(path, root)
            kind = stat.S_IFMT(s.st_mode)
            fact = [oct(s.st_mode), s.st_uid, s.st_gid, s.st_mtime_ns if where != "." else 0]
            if kind == stat.S_IFREG:
                fact += [s.st_size, hashlib.sha256(open(path, "rb").read()).hexdigest(), s.st_nlink]
                inodes.setdefault(s.st_ino, []).append(where)
            if kind == stat.S_IFLNK:
                fact.append(os.readlink(path))
            if kind in (stat.S_IFCHR, stat.S_IFBLK):
                fact.append(s.st_rdev)
            names = [n for n in os.listxattr(path, follow_symlinks=False) if ".overlay." not in n]
            fact.append(sorted((n, os.getxattr(path, n, follow_symlinks=False)) for n in names))
            found[where] = fact
    return found, sorted(sorted(v) for v in inodes.values() if len(v) > 1)


(ours, our_links), (theirs, their_links) = facts(sys.argv[1]), facts(sys.argv[2])
wrong = [where for where in sorted(set(ours) | set(theirs)) if ours.get(where) != theirs.get(where)]
for where in wrong[:20]:
    print("differs:", where, "ours:", ours.get(where), "theirs:", theirs.get(where))
if our_links != their_links:
    print("hard links differ")
print(f"{len(ours)} files, {len(wrong)} differ")
sys.exit(bool(wrong) or our_links != their_links)
