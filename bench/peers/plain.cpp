// The loops that one would write in C++ with OpenMP, for bench/peers: compiled with -O3 -march=native
// -ffast-math, so that the compiler may vectorise exp and log. Also what the machine can read.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

extern "C" {

std::uint64_t plain_read(const std::uint64_t* x, std::int64_t size, int threads) {
  std::uint64_t total = 0;
#pragma omp parallel for num_threads(threads) reduction(+ : total) schedule(static)
  for (std::int64_t i = 0; i < size; ++i) total += x[i];
  return total;
}

/// Entropy, margin and least confidence of each row of logits.
void plain_scores(const float* x, std::int64_t rows, std::int64_t cols, float* scores, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
  for (std::int64_t i = 0; i < rows; ++i) {
    const float* const z = x + i * cols;
    float first = z[0], second = -1e30f;
    for (std::int64_t c = 1; c < cols; ++c) {
      second = std::max(second, std::min(first, z[c]));
      first = std::max(first, z[c]);
    }
    float total = 0, weighted = 0;
    for (std::int64_t c = 0; c < cols; ++c) {
      const float d = z[c] - first, e = std::exp(d);
      total += e;
      weighted += d * e;
    }
    scores[3 * i] = std::log(total) - weighted / total;
    scores[3 * i + 1] = 1 - (1 - std::exp(second - first)) / total;
    scores[3 * i + 2] = 1 - 1 / total;
  }
}

/// Entropy of each row of probabilities.
void plain_entropy(const float* p, std::int64_t rows, std::int64_t cols, float* scores, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
  for (std::int64_t i = 0; i < rows; ++i) {
    float h = 0;
    for (std::int64_t c = 0; c < cols; ++c) {
      const float x = p[i * cols + c];
      h -= x * std::log(std::max(x, 1e-30f));
    }
    scores[i] = h;
  }
}

/// BALD of each row of a committee's probabilities [members, rows, cols].
void plain_bald(const float* p, std::int64_t members, std::int64_t rows, std::int64_t cols, float* scores,
                int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
  for (std::int64_t i = 0; i < rows; ++i) {
    float expected = 0, of_mean = 0;
    for (std::int64_t c = 0; c < cols; ++c) {
      float mean = 0;
      for (std::int64_t k = 0; k < members; ++k) {
        const float x = p[(k * rows + i) * cols + c];
        mean += x;
        expected += x * std::log(std::max(x, 1e-30f));
      }
      mean /= float(members);
      of_mean += mean * std::log(std::max(mean, 1e-30f));
    }
    scores[i] = expected / float(members) - of_mean;
  }
}

/// Entropy of the votes, each member's for its most probable class.
void plain_vote_entropy(const float* p, std::int64_t members, std::int64_t rows, std::int64_t cols,
                        float* scores, int threads) {
#pragma omp parallel num_threads(threads)
  {
    std::vector<int> votes(static_cast<std::size_t>(cols));
#pragma omp for schedule(static)
    for (std::int64_t i = 0; i < rows; ++i) {
      std::fill(votes.begin(), votes.end(), 0);
      for (std::int64_t k = 0; k < members; ++k) {
        const float* const row = p + (k * rows + i) * cols;
        ++votes[static_cast<std::size_t>(std::max_element(row, row + cols) - row)];
      }
      float h = 0;
      for (const int v : votes)
        if (v > 0) h -= float(v) / float(members) * std::log(float(v) / float(members));
      scores[i] = h;
    }
  }
}

/// The best k of (score, row) pairs by std::nth_element, sorted.
void plain_top_k(const float* x, std::int64_t size, std::int64_t k, std::int64_t* rows, float* scores) {
  using pair = std::pair<float, std::int64_t>;
  const auto before = [](const pair& a, const pair& b) {
    return a.first > b.first || (a.first == b.first && a.second < b.second);
  };
  std::vector<pair> pairs(static_cast<std::size_t>(size));
  for (std::int64_t i = 0; i < size; ++i) pairs[static_cast<std::size_t>(i)] = {x[i], i};
  std::nth_element(pairs.begin(), pairs.begin() + (k - 1), pairs.end(), before);
  std::sort(pairs.begin(), pairs.begin() + k, before);
  for (std::int64_t i = 0; i < k; ++i) {
    rows[i] = pairs[static_cast<std::size_t>(i)].second;
    scores[i] = pairs[static_cast<std::size_t>(i)].first;
  }
}

/// Lowers each row's squared distance to the nearest centre by centre `last`; returns the farthest row.
std::int64_t plain_farthest(const float* x, std::int64_t rows, std::int64_t cols, std::int64_t last,
                            float* nearest, int threads) {
  std::int64_t farthest = 0;
  float largest = -1;
#pragma omp parallel num_threads(threads)
  {
    std::int64_t mine = 0;
    float most = -1;
#pragma omp for schedule(static) nowait
    for (std::int64_t i = 0; i < rows; ++i) {
      float d = 0;
      for (std::int64_t c = 0; c < cols; ++c) {
        const float off = x[i * cols + c] - x[last * cols + c];
        d += off * off;
      }
      nearest[i] = std::min(nearest[i], d);
      if (nearest[i] > most) {
        most = nearest[i];
        mine = i;
      }
    }
#pragma omp critical
    if (most > largest || (most == largest && mine < farthest)) {
      largest = most;
      farthest = mine;
    }
  }
  return farthest;
}

}  // extern "C"
