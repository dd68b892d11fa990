#include "core/assignment.h"

#include <limits>

namespace fenceline {

std::vector<std::size_t> least_cost_columns(const std::vector<std::vector<double>>& cost) {
    const std::size_t rows = cost.size(), columns = rows == 0 ? 0 : cost[0].size();
    std::vector<double> u(rows + 1, 0.0), v(columns + 1, 0.0);
    std::vector<std::size_t> row_of(columns + 1, 0), way(columns + 1, 0);
    for (std::size_t row = 1; row <= rows; ++row) {
        row_of[0] = row;
        std::size_t column = 0;
        std::vector<double> least(columns + 1, std::numeric_limits<double>::infinity());
        std::vector<char> used(columns + 1, 0);
        do {
            used[column] = 1;
            const std::size_t from = row_of[column];
            double delta = std::numeric_limits<double>::infinity();
            std::size_t next = 0;
            for (std::size_t j = 1; j <= columns; ++j) {
                if (used[j] != 0) continue;
                const double reduced = cost[from - 1][j - 1] - u[from] - v[j];
                if (reduced < least[j]) {
                    least[j] = reduced;
                    way[j] = column;
                }
                if (least[j] < delta) {
                    delta = least[j];
                    next = j;
                }
            }
            for (std::size_t j = 0; j <= columns; ++j) {
                if (used[j] != 0) {
                    u[row_of[j]] += delta;
                    v[j] -= delta;
                } else {
                    least[j] -= delta;
                }
            }
            column = next;
        } while (row_of[column] != 0);
        do {
            const std::size_t before = way[column];
            row_of[column] = row_of[before];
            column = before;
        } while (column != 0);
    }
    std::vector<std::size_t> column_of(rows, columns);
    for (std::size_t j = 1; j <= columns; ++j)
        if (row_of[j] != 0) column_of[row_of[j] - 1] = j - 1;
    return column_of;
}

}  // namespace fenceline
