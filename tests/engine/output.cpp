// Files that are there whole or not at all: after success, an exception, a full disk, a signal, a kill.
#include "poolwise/files/output.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <functional>
#include <random>
#include <thread>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/files/array.hpp"
#include "poolwise/files/read_file.hpp"
#include "poolwise/files/signals.hpp"
#include "reference/errors.hpp"
#include "reference/scratch.hpp"

extern "C" int fsync(int file);

namespace poolwise {
namespace {

using reference::message_of;
using reference::read_file;
using reference::scratch_folder;
using reference::write_file;
using names = std::set<std::string>;

// What fsync of a folder comes to; 0: what the system says.
int fault_of_folders = 0;

// What outputs had to say.
std::vector<std::string> notes;
void keep_note(const std::string& note) { notes.push_back(note); }

class Output : public ::testing::Test {
 protected:
  scratch_folder folder;
};

// The exit status of a child that runs `body`: 0 unless that throws or ends it otherwise.
int status_of_child(const std::function<void()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      body();
    } catch (...) {
      ::_exit(1);
    }
    ::_exit(0);
  }
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return status;
}

bool died_of(int status, int signal_number) { return WIFSIGNALED(status) && WTERMSIG(status) == signal_number; }

TEST_F(Output, NothingIsThereBeforeCommitAndAllIsAfter) {
  const auto target = folder / "out.txt";
  output_file out(target);
  EXPECT_FALSE(std::filesystem::exists(target));
  out.write("one ");
  out.write("two", 3);
  EXPECT_FALSE(std::filesystem::exists(target));
  out.commit();
  EXPECT_EQ(read_file(target), "one two");
  EXPECT_EQ(folder.names(), names{"out.txt"});
}

TEST_F(Output, ATemporaryFileIsNamedAfterItsTargetAndProcess) {
  output_file out(folder / "out.txt");
  const names there = folder.names();
  ASSERT_EQ(there.size(), 1u);
  EXPECT_EQ(there.begin()->rfind(".out.txt." + std::to_string(::getpid()) + "-", 0), 0u) << *there.begin();
  EXPECT_TRUE(there.begin()->ends_with(".tmp")) << *there.begin();
}

TEST_F(Output, AnOldTargetStaysUntilCommit) {
  const auto target = write_file(folder / "out.txt", "old");
  {
    output_file out(target);
    out.write("new");
  }
  EXPECT_EQ(read_file(target), "old");
  EXPECT_EQ(folder.names(), names{"out.txt"});
  write_text(target, "new");
  EXPECT_EQ(read_file(target), "new");
  write_text(target, "");
  EXPECT_EQ(read_file(target), "");
  EXPECT_EQ(folder.names(), names{"out.txt"});
}

TEST_F(Output, AnExceptionLeavesNothing) {
  EXPECT_THROW(
      {
        output_file out(folder / "out.txt");
        out.write(std::string(1 << 20, 'x'));
        throw std::runtime_error("elsewhere");
      },
      std::runtime_error);
  EXPECT_EQ(folder.names(), names{});
}

TEST_F(Output, PiecesOfEverySizeArriveInOrder) {
  std::mt19937_64 random(11);
  std::string whole;
  output_file out(folder / "out.bin");
  // Around the buffer's 256 KiB, and far below and beyond.
  for (const std::size_t size : {1u, 0u, 262143u, 1u, 262144u, 262145u, 5u, 3000000u, 7u, 100000u, 200000u}) {
    std::string piece(size, '\0');
    for (char& c : piece) c = char(random());
    out.write(piece);
    whole += piece;
  }
  out.commit();
  EXPECT_TRUE(read_file(folder / "out.bin") == whole);
}

TEST_F(Output, AMovedOutputGoesOn) {
  output_file first(folder / "out.txt");
  first.write("a");
  {
    output_file second(std::move(first));
    second.write("b");
    second.commit();
  }
  EXPECT_EQ(read_file(folder / "out.txt"), "ab");
  EXPECT_EQ(folder.names(), names{"out.txt"});
}

TEST_F(Output, WritingOrCommittingAfterCommitIsRefused) {
  output_file out(folder / "out.txt");
  out.commit();
  EXPECT_SAYS(message_of<io_error>([&] { out.write("more"); }), "output_file: written to after commit");
  EXPECT_SAYS(message_of<io_error>([&] { out.commit(); }), "output_file: committed twice");
}

TEST_F(Output, TheLongestNameAndARelativeOne) {
  const std::string longest(255, 'n');
  write_text(folder / longest, "x");
  EXPECT_EQ(folder.names(), names{longest});
  EXPECT_EQ(status_of_child([&] {
              std::filesystem::current_path(folder.path());
              output_file out("relative.txt");
              // A temporary file is found again wherever the process has gone.
              std::filesystem::current_path("/");
            }),
            0);
  EXPECT_EQ(status_of_child([&] {
              std::filesystem::current_path(folder.path());
              write_text("relative.txt", "y");
            }),
            0);
  EXPECT_EQ(folder.names(), (names{longest, "relative.txt"}));
  EXPECT_EQ(read_file(folder / "relative.txt"), "y");
}

TEST_F(Output, ATemporaryNameThatIsTakenIsLeftAlone) {
  std::string taken;
  {
    output_file probe(folder / "out.txt");
    taken = *folder.names().begin();
  }
  const std::size_t dash = taken.rfind('-');
  const unsigned long next = std::stoul(taken.substr(dash + 1)) + 1;
  names left;
  for (unsigned long n = next; n < next + 3; ++n)
    left.insert(taken.substr(0, dash + 1) + std::to_string(n) + ".tmp");
  for (const std::string& name : left) write_file(folder / name, "another's");
  write_text(folder / "out.txt", "mine");
  for (const std::string& name : left) EXPECT_EQ(read_file(folder / name), "another's");
  left.insert("out.txt");
  EXPECT_EQ(folder.names(), left);
}

TEST_F(Output, SymbolicLinksAreWrittenThrough) {
  std::filesystem::create_directory(folder / "data");
  write_file(folder / "data/real.txt", "old");
  std::filesystem::create_symlink("data/real.txt", folder / "link.txt");
  std::filesystem::create_symlink("link.txt", folder / "link2.txt");
  std::filesystem::create_symlink("data/fresh.txt", folder / "dangling.txt");
  {
    output_file out(folder / "link2.txt");
    // Beside the file itself, not beside the link.
    EXPECT_EQ(folder.names(), (names{"data", "dangling.txt", "link.txt", "link2.txt"}));
    out.write("new");
    out.commit();
  }
  write_text(folder / "dangling.txt", "fresh");
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link.txt"));
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link2.txt"));
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "dangling.txt"));
  EXPECT_EQ(read_file(folder / "data/real.txt"), "new");
  EXPECT_EQ(read_file(folder / "data/fresh.txt"), "fresh");
}

TEST_F(Output, ThreadsWriteFilesOfTheirOwnAndOneTogether) {
  constexpr int threads = 8, files = 20;
  std::vector<std::thread> running;
  for (int t = 0; t < threads; ++t)
    running.emplace_back([&, t] {
      for (int f = 0; f < files; ++f) {
        const std::string text = std::to_string(t) + " " + std::to_string(f);
        output_file dropped(folder / "dropped");
        write_text(folder / (std::to_string(t) + "." + std::to_string(f)), text);
        write_text(folder / "shared", std::string(1000, char('a' + t)));
      }
    });
  for (std::thread& thread : running) thread.join();
  EXPECT_EQ(folder.names().size(), std::size_t(threads * files + 1));
  for (int t = 0; t < threads; ++t)
    for (int f = 0; f < files; ++f)
      EXPECT_EQ(read_file(folder / (std::to_string(t) + "." + std::to_string(f))),
                std::to_string(t) + " " + std::to_string(f));
  const std::string shared = read_file(folder / "shared");
  EXPECT_EQ(shared, std::string(1000, shared.empty() ? '?' : shared[0]));
}

TEST_F(Output, TooManyAtATimeAreRefusedAndTheirPlacesComeBack) {
  for (int round = 0; round < 2; ++round) {
    std::vector<output_file> many;
    for (int i = 0; i < 128; ++i) many.emplace_back(folder / "x");
    EXPECT_SAYS(message_of<io_error>([&] { output_file(folder / "x"); }),
                "128 outputs are unfinished; commit or drop");
    many.pop_back();
    output_file again(folder / "x");
  }
  EXPECT_EQ(folder.names(), names{});
}

// ---- what the system refuses

TEST_F(Output, AFullDeviceIsReported) {
  const std::string message = message_of<io_error>([] { write_text("/dev/full", "text"); });
  EXPECT_SAYS(message, "cannot write /dev/full: No space left on device; free some space");
  // At the first write that does not fit the buffer, without waiting for commit.
  output_file out("/dev/full");
  EXPECT_THROW(out.write(std::string(1 << 20, 'x')), io_error);
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/full"));
  std::filesystem::create_symlink("/dev/full", folder / "link");
  EXPECT_SAYS(message_of<io_error>([&] { write_text(folder / "link", "text"); }), "No space left on device");
  EXPECT_EQ(folder.names(), names{"link"});
}

TEST_F(Output, AWriteThatFailsLeavesTheOldTargetAlone) {
  const auto target = write_file(folder / "out.bin", "old");
  EXPECT_EQ(status_of_child([&] {
              // Files of at most 4 KiB: a stand-in for a disk that fills up.
              const rlimit limit{4096, 4096};
              ::setrlimit(RLIMIT_FSIZE, &limit);
              ::signal(SIGXFSZ, SIG_IGN);
              for (const std::size_t size : {std::size_t{5000}, std::size_t{1} << 20}) {
                try {
                  write_text(target, std::string(size, 'x'));
                  ::_exit(2);
                } catch (const io_error& refused) {
                  if (std::strstr(refused.what(), std::strerror(EFBIG)) == nullptr) ::_exit(3);
                }
              }
            }),
            0);
  EXPECT_EQ(read_file(target), "old");
  EXPECT_EQ(folder.names(), names{"out.bin"});
}

TEST_F(Output, ACommitThatFailsLeavesNoTemporaryFile) {
  output_file out(folder / "out.txt");
  out.write("text");
  std::filesystem::create_directory(folder / "out.txt");  // which a file cannot replace
  EXPECT_SAYS(message_of<io_error>([&] { out.commit(); }), "out.txt: Is a directory");
  EXPECT_EQ(folder.names(), names{"out.txt"});
}

TEST_F(Output, PathsThatLeadNowhere) {
  const auto refusal = [](const std::filesystem::path& target) {
    const auto message = message_of<io_error>([&] { output_file out(target); });
    EXPECT_SAYS(message, "output_file: cannot write " + target.string() + ": ");
    return message;
  };
  EXPECT_SAYS(refusal(folder / "none/out.txt"), "No such file or directory; make its folder first");
  EXPECT_SAYS(refusal(folder.path()), "Is a directory");
  EXPECT_SAYS(refusal(folder / "none/"), "No such file or directory");
  EXPECT_SAYS(refusal(""), "Invalid argument; check the path");
  write_file(folder / "file", "");
  EXPECT_SAYS(refusal(folder / "file/out.txt"), "Not a directory");
  EXPECT_SAYS(refusal(folder / std::string(256, 'n')), "File name too long");
  std::filesystem::create_symlink("loop", folder / "loop");
  EXPECT_SAYS(refusal(folder / "loop"), "Too many levels of symbolic links");
  EXPECT_SAYS(refusal("/dev/fd/987654"), "Bad file descriptor");
}

TEST_F(Output, FoldersAndFilesThatMayNotBeWritten) {
  const auto closed = folder / "closed";
  std::filesystem::create_directory(closed);
  ASSERT_EQ(::chmod(closed.c_str(), 0555), 0);
  const auto target = write_file(folder / "read-only.txt", "old");
  ASSERT_EQ(::chmod(target.c_str(), 0444), 0);
  ASSERT_EQ(::chmod(folder.path().c_str(), 0777), 0);
  EXPECT_EQ(status_of_child([&] {
              constexpr uid_t nobody = 65534;
              if (::geteuid() == 0 && ::setreuid(nobody, nobody) != 0) ::_exit(2);
              for (const auto& refused : {closed / "out.txt", target}) {
                try {
                  output_file out(refused);
                  ::_exit(3);
                } catch (const io_error& error) {
                  if (std::strstr(error.what(), "Permission denied") == nullptr) ::_exit(4);
                }
              }
            }),
            0);
  EXPECT_EQ(read_file(target), "old");
  EXPECT_EQ(folder.names(), (names{"closed", "read-only.txt"}));
}

TEST_F(Output, AFolderThatCannotBeSyncedIsNoFailureOfTheFile) {
  on_output_note(keep_note);
  notes.clear();
  for (const int fault : {EIO, ENOSPC}) {
    fault_of_folders = fault;
    write_text(folder / "out.txt", std::strerror(fault));
    fault_of_folders = 0;
    EXPECT_EQ(read_file(folder / "out.txt"), std::strerror(fault));
    ASSERT_EQ(notes.size(), 1u);
    EXPECT_SAYS(notes[0], "out.txt is written, but may not outlast a power cut");
    notes.clear();
  }
  on_output_note(nullptr);
}

TEST_F(Output, AReplacedFileKeepsItsModeAndOwner) {
  const auto target = write_file(folder / "out.txt", "old");
  const auto status_of = [](const std::filesystem::path& file) {
    struct stat status {};
    ::stat(file.c_str(), &status);
    return status;
  };
  if (::geteuid() == 0) {
    ASSERT_EQ(::chown(target.c_str(), 65534, 65534), 0);
  }
  const struct stat old = status_of(target);
  for (const mode_t mode : {0600, 0640, 0666, 0755}) {
    ASSERT_EQ(::chmod(target.c_str(), mode), 0);
    write_text(target, "new");
    EXPECT_EQ(status_of(target).st_mode & 07777, mode);
    EXPECT_EQ(status_of(target).st_uid, old.st_uid);
    EXPECT_EQ(status_of(target).st_gid, old.st_gid);
  }
  // Nor may anybody read it on its way.
  ASSERT_EQ(::chmod(target.c_str(), 0600), 0);
  output_file out(target);
  for (const std::string& name : folder.names())
    EXPECT_EQ(status_of(folder / name).st_mode & 0777, 0600u) << name;
}

TEST_F(Output, WhatCannotBeReplacedIsWrittenOverInPlace) {
  const auto closed = folder / "closed";
  std::filesystem::create_directory(closed);
  const auto target = write_file(closed / "out.txt", "an old text that is longer");
  ASSERT_EQ(::chmod(target.c_str(), 0666), 0);
  ASSERT_EQ(::chmod(closed.c_str(), 0555), 0);
  ASSERT_EQ(::chmod(folder.path().c_str(), 0755), 0);
  struct stat before {
  }, after{};
  ASSERT_EQ(::stat(target.c_str(), &before), 0);
  EXPECT_EQ(status_of_child([&] {
              constexpr uid_t nobody = 65534;
              if (::geteuid() == 0 && ::setreuid(nobody, nobody) != 0) ::_exit(2);
              on_output_note(keep_note);
              {
                output_file dropped(target);
                dropped.write("dropped");
              }
              if (read_file(target) != "an old text that is longer") ::_exit(3);
              write_text(target, "first");
              write_text(target, "new");
              // Said once, though it is done twice.
              const bool said =
                  notes.size() == 1 && notes[0].find(
                                           "out.txt was written over in place, because it "
                                           "cannot be replaced (Permission denied)") != std::string::npos;
              ::_exit(said ? 0 : 4);
            }),
            0);
  ASSERT_EQ(::stat(target.c_str(), &after), 0);
  EXPECT_EQ(read_file(target), "new");
  EXPECT_EQ(after.st_ino, before.st_ino);
  for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::temp_directory_path()))
    EXPECT_NE(entry.path().filename().string().rfind(".out.txt.", 0), 0u) << entry.path();
}

// ---- what is written directly

TEST_F(Output, APipeIsWrittenDirectly) {
  const auto pipe = folder / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const std::string text(300'000, 'p');  // more than a pipe holds
  std::string got;
  std::thread reader([&] { got = read_file(pipe); });
  write_text(pipe, text);
  reader.join();
  EXPECT_TRUE(got == text);
  EXPECT_TRUE(std::filesystem::is_fifo(pipe));
  EXPECT_EQ(folder.names(), names{"pipe"});
}

TEST_F(Output, ANonBlockingPipeIsWaitedFor) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_NONBLOCK), 0);
  std::string got;
  std::thread reader([&] {
    ::fcntl(ends[0], F_SETFL, 0);
    char buffer[4096];
    for (ssize_t n; (n = ::read(ends[0], buffer, sizeof buffer)) > 0;) got.append(buffer, std::size_t(n));
  });
  const std::string text(1'000'000, 'q');
  write_text("/dev/fd/" + std::to_string(ends[1]), text);
  ::close(ends[1]);
  reader.join();
  ::close(ends[0]);
  EXPECT_TRUE(got == text);
}

TEST_F(Output, StandardOutputUnderItsNames) {
  for (const char* target : {"-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"}) {
    SCOPED_TRACE(target);
    const auto file = write_file(folder / "stdout.txt", "");
    EXPECT_EQ(status_of_child([&] {
                ::dup2(::open(file.c_str(), O_WRONLY), STDOUT_FILENO);
                std::printf("before, ");  // which stdio holds back for now
                write_text(target, "written, ");
                std::printf("after");
                std::fflush(stdout);
              }),
              0);
    EXPECT_EQ(read_file(file), "before, written, after");
  }
  EXPECT_EQ(folder.names(), names{"stdout.txt"});
}

TEST_F(Output, AReaderThatHasGoneIsReported) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ::close(ends[0]);
  EXPECT_EQ(status_of_child([&] {
              ::signal(SIGPIPE, SIG_IGN);
              try {
                write_text("/dev/fd/" + std::to_string(ends[1]), "text");
              } catch (const io_error& refused) {
                ::_exit(std::strstr(refused.what(), "Broken pipe") != nullptr ? 0 : 2);
              }
              ::_exit(3);
            }),
            0);
  ::close(ends[1]);
}

// ---- signals

TEST_F(Output, SignalsThatEndTheProcessLeaveNothing) {
  const auto target = write_file(folder / "out.txt", "old");
  for (int signal_number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGXCPU, SIGUSR1, SIGUSR2, SIGALRM, SIGPIPE,
                            SIGABRT, SIGVTALRM, SIGPROF, SIGIO, SIGPWR, SIGBUS}) {
    SCOPED_TRACE(::strsignal(signal_number));
    const int status = status_of_child([&] {
      clean_up_on_signals(6);
      output_file first(target), second(folder / "other.txt");
      first.write(std::string(1 << 20, 'x'));
      write_text(folder / "finished.txt", "whole");
      if (folder.names().size() != 4) ::_exit(2);
      ::raise(signal_number);
    });
    EXPECT_TRUE(died_of(status, signal_number)) << status;
    EXPECT_EQ(read_file(target), "old");
    EXPECT_EQ(read_file(folder / "finished.txt"), "whole");
    EXPECT_EQ(folder.names(), (names{"finished.txt", "out.txt"}));
  }
}

TEST_F(Output, AFileBeyondTheLimitIsAnErrorAndNoSignal) {
  EXPECT_EQ(status_of_child([&] {
              const rlimit limit{4096, 4096};
              ::setrlimit(RLIMIT_FSIZE, &limit);
              clean_up_on_signals(6);
              try {
                write_text(folder / "out.txt", std::string(5000, 'x'));
              } catch (const io_error& refused) {
                ::_exit(std::strstr(refused.what(), "ulimit -f") != nullptr ? 0 : 2);
              }
              ::_exit(3);
            }),
            0);
  EXPECT_EQ(folder.names(), names{});
}

TEST_F(Output, AMappedFileThatIsCutShortEndsTheProcessWithALine) {
  const auto input = folder / "in.npy";
  const auto said = folder / "said.txt";
  for (const bool threads : {false, true}) {
    write_npy(input, vector_view<const float>{std::vector<float>(100'000).data(), 100'000});
    const int status = status_of_child([&] {
      ::dup2(::open(said.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDERR_FILENO);
      clean_up_on_signals(6);
      const array mapped = open_npy(input);
      output_file unfinished(folder / "out.txt");
      std::filesystem::resize_file(input, 0);
      const auto read = [&] {
        volatile float sum = 0;
        for (index_t i = 0; i < 100'000; i += 100) sum = sum + reinterpret_cast<const float*>(mapped.data)[i];
      };
      std::vector<std::thread> readers;
      for (int t = 0; threads && t < 4; ++t) readers.emplace_back(read);
      if (!threads) read();
      for (std::thread& reader : readers) reader.join();
    });
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 6) << status;
    EXPECT_EQ(read_file(said), "poolwise: open_npy: " + input.string() +
                                   " changed while it was read; run again once it is whole\n");
    EXPECT_EQ(folder.names(), (names{"in.npy", "said.txt"}));
  }
}

TEST_F(Output, AMappedFileThatWasWrittenToIsFoundOut) {
  const auto file = folder / "in.npy";
  const float values[] = {1, 2, 3};
  write_npy(file, vector_view<const float>{values, 3});
  const array mapped = open_npy(file);
  require_unchanged_files("test");
  write_npy(file, vector_view<const float>{values, 2});  // another file: the mapped one is as it was
  require_unchanged_files("test");
  const array again = open_npy(file);
  ::usleep(20'000);  // longer than a tick of the file system's clock
  std::fstream(file, std::ios::in | std::ios::out | std::ios::binary).seekp(130).put('x');
  EXPECT_SAYS(message_of<value_error>([] { require_unchanged_files("test"); }),
              "in.npy changed while it was read");
}

TEST_F(Output, ASignalFromOutsideWhileWritingLeavesNothing) {
  const auto target = write_file(folder / "out.txt", "old");
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    clean_up_on_signals(6);
    output_file out(target);
    if (::write(ready[1], "r", 1) != 1) ::_exit(2);
    for (;;) out.write(std::string(1 << 16, 'x'));
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  ::kill(child, SIGINT);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(died_of(status, SIGINT)) << status;
  EXPECT_EQ(read_file(target), "old");
  EXPECT_EQ(folder.names(), names{"out.txt"});
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_F(Output, AnIgnoredSignalStaysIgnored) {
  EXPECT_EQ(status_of_child([&] {
              ::signal(SIGINT, SIG_IGN);
              clean_up_on_signals(6);
              output_file out(folder / "out.txt");
              ::raise(SIGINT);
              out.write("still here");
              out.commit();
            }),
            0);
  EXPECT_EQ(read_file(folder / "out.txt"), "still here");
}

TEST_F(Output, AForkedChildLeavesItsParentsOutputsAlone) {
  output_file out(folder / "out.txt");
  const int status = status_of_child([] {
    clean_up_on_signals(6);
    ::raise(SIGTERM);
  });
  EXPECT_TRUE(died_of(status, SIGTERM)) << status;
  EXPECT_EQ(status_of_child([&] { output_file dropped(std::move(out)); }), 0);
  out.write("parent");
  out.commit();
  EXPECT_EQ(read_file(folder / "out.txt"), "parent");
}

TEST_F(Output, AKillLeavesTheTargetUntouched) {
  const auto target = write_file(folder / "out.txt", "old");
  const int status = status_of_child([&] {
    output_file out(target);
    out.write(std::string(1 << 20, 'x'));
    ::raise(SIGKILL);
  });
  EXPECT_TRUE(died_of(status, SIGKILL)) << status;
  EXPECT_EQ(read_file(target), "old");
  // The one case that leaves its temporary file. The next output to the same target removes it, and no other's.
  const names left = folder.names();
  EXPECT_EQ(left.size(), 2u);
  write_text(folder / "out", "another target");
  EXPECT_EQ(folder.names().size(), 3u);
  EXPECT_EQ(status_of_child([&] { write_text(target, "new"); }), 0);
  EXPECT_EQ(read_file(target), "new");
  EXPECT_EQ(folder.names(), (names{"out", "out.txt"}));
}

TEST_F(Output, WhatLooksLeftBehindButIsLockedOrIsNoTemporaryStays) {
  const pid_t gone = ::fork();
  if (gone == 0) ::_exit(0);
  ::waitpid(gone, nullptr, 0);
  const std::string begin = ".out.txt." + std::to_string(gone);
  // A process in another container, whose numbers are not ours, holds the first.
  const names stay = {begin + "-0.tmp", begin + "-x.tmp", begin + ".tmp", begin + "-1.tmp.txt",
                      ".out.txt.0-0.tmp"};
  for (const std::string& name : stay) write_file(folder / name, "");
  write_file(folder / (begin + "-7.tmp"), "left");
  const int held = ::open((folder / (begin + "-0.tmp")).c_str(), O_RDONLY);
  ASSERT_EQ(::flock(held, LOCK_EX | LOCK_NB), 0);
  write_text(folder / "out.txt", "new");
  ::close(held);
  names expected = stay;
  expected.insert("out.txt");
  EXPECT_EQ(folder.names(), expected);
}

// ---- .npy

TEST_F(Output, NpyHeadersAreNumpysToTheByte) {
  const auto file = folder / "x.npy";
  const float values[] = {0.5f, -1.0f, 2.0f, 3.0f};
  const auto expect = [&](std::string dict, std::size_t data_bytes) {
    const std::string bytes = read_file(file);
    // As numpy.save pads for these short shapes: 10 bytes, then 118, the last a line feed.
    dict.resize(117, ' ');
    ASSERT_EQ(bytes.size(), 128 + data_bytes);
    EXPECT_EQ(bytes.substr(0, 10), std::string("\x93NUMPY\x01\x00\x76\x00", 10));
    EXPECT_EQ(bytes.substr(10, 118), dict + "\n");
    EXPECT_EQ(std::memcmp(bytes.data() + 128, values, data_bytes), 0);
  };
  write_npy(file, vector_view<const float>{values, 3});
  expect("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }", 12);
  write_npy(file, matrix_view<const float>{values, 4, 1});
  expect("{'descr': '<f4', 'fortran_order': False, 'shape': (4, 1), }", 16);
  write_npy(file, vector_view<const float>{});
  expect("{'descr': '<f4', 'fortran_order': False, 'shape': (0,), }", 0);
  EXPECT_EQ(open_npy(file).size(), 0);
}

TEST_F(Output, NpyIntegersComeBack) {
  const std::vector<std::int64_t> wide{-1, 0, INT64_MAX};
  write_npy(folder / "x.npy", vector_view<const std::int64_t>{wide.data(), 3});
  EXPECT_EQ(open_npy(folder / "x.npy").type, dtype::i8);
  EXPECT_EQ(as_integers(open_npy(folder / "x.npy")), wide);
  const std::vector<std::int32_t> narrow{INT32_MIN, 7};
  write_npy(folder / "x.npy", vector_view<const std::int32_t>{narrow.data(), 2});
  EXPECT_EQ(open_npy(folder / "x.npy").type, dtype::i4);
  EXPECT_EQ(as_integers(open_npy(folder / "x.npy")), (std::vector<index_t>{INT32_MIN, 7}));
}

TEST_F(Output, NpyMatricesOfAnyStrideComeBackDense) {
  std::vector<float> numbers(70'000 * 5);
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = float(i);
  const matrix_view<const float> views[] = {
      {numbers.data(), 70'000, 5},  {numbers.data() + 1, 70'000, 3, 5},
      {numbers.data(), 1, 350'000}, {numbers.data() + 3, 3, 90'000, 100'000},
      {numbers.data(), 0, 5},       {numbers.data(), 5, 0, 7},
      {numbers.data() + 2, 1, 1, 9}};
  for (const auto& view : views) {
    SCOPED_TRACE(std::to_string(view.rows) + " by " + std::to_string(view.cols));
    write_npy(folder / "x.npy", view);
    array keep;
    const auto got = as_float_matrix(open_npy(folder / "x.npy"), keep);
    ASSERT_EQ(got.rows, view.rows);
    ASSERT_EQ(got.cols, view.cols);
    for (index_t i = 0; i < view.rows; ++i)
      for (index_t j = 0; j < view.cols; ++j) ASSERT_EQ(got(i, j), view(i, j));
  }
}

TEST_F(Output, AMappedFileThatIsReplacedStaysReadable) {
  const float old_values[] = {1, 2, 3}, new_values[] = {9};
  write_npy(folder / "x.npy", vector_view<const float>{old_values, 3});
  const array mapped = open_npy(folder / "x.npy");
  write_npy(folder / "x.npy", vector_view<const float>{new_values, 1});
  EXPECT_EQ(reinterpret_cast<const float*>(mapped.data)[2], 3.0f);
  EXPECT_EQ(open_npy(folder / "x.npy").size(), 1);
}

}  // namespace
}  // namespace poolwise

// In place of the system's, whose folders never fail.
extern "C" int fsync(int file) {
  struct stat status {};
  if (poolwise::fault_of_folders != 0 && ::fstat(file, &status) == 0 && S_ISDIR(status.st_mode)) {
    errno = poolwise::fault_of_folders;
    return -1;
  }
  return ::fdatasync(file);
}
