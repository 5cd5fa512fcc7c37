// Memory that one call leaves for the next. Large blocks go back to the system when they are freed, and a fresh one
// costs a page fault every 4 KiB: 4 % of a training step of a million Gaussians.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>

namespace splat {

/// At least `size` uninitialised floats. The block is taken from a place where there is one for the whole process, or
/// is a new one, and goes there in the end; a call beside another has its own.
class Scratch {
 public:
  explicit Scratch(size_t size) : block_(kept().exchange(nullptr)) {
    // One that is much too large was left by another scene.
    if (block_ && block_->size >= size && block_->size / 4 <= size) return;
    block_.reset();
    block_.reset(new Block{size, std::unique_ptr<float[]>(new float[size])});
  }
  ~Scratch() { delete kept().exchange(block_.release()); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  float* data() const { return block_->memory.get(); }

 private:
  struct Block {
    size_t size;
    std::unique_ptr<float[]> memory;
  };

  static std::atomic<Block*>& kept() {
    static std::atomic<Block*> block{nullptr};
    return block;
  }

  std::unique_ptr<Block> block_;
};

}  // namespace splat
